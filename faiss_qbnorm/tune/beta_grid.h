#pragma once

#include <span>
#include <vector>

#include "faiss_qbnorm/similarities/similarities.h"

namespace faiss_qbnorm {

/// The mean over items (a thousand of them, evenly spread, in a larger gallery)
/// of the standard deviation of the rows' similarities with the item. The best
/// beta follows its inverse, however similarities are scaled and shifted. 0
/// where every item's are equal.
double mean_deviation(const Similarities& rows);

/// `size` betas, geometric from 0.2 / sigma to 8 / sigma, or to the largest
/// that there is.
std::vector<float> beta_grid(double sigma, int size);

/// The beta of the largest value, refined by the parabola in log beta through
/// it and its neighbours.
float peak(std::span<const float> betas, std::span<const double> values);

}  // namespace faiss_qbnorm
