#pragma once

#include <span>
#include <string>
#include <vector>

#include "faiss_qbnorm/core/types.h"
#include "faiss_qbnorm/eval/svg_chart.h"

namespace faiss_qbnorm {

/// The k-occurrence of every item under one method.
struct OccurrenceSeries {
    std::string name;
    std::span<const idx_t> occurrences;
};

/// How the k-occurrence is distributed (Bogolin et al. 2022, fig. 5): how many
/// items come up 0, 1, 2 to 3, 4 to 7, 8 to 15, ... times among the queries'
/// top k, both axes logarithmic. A hub is far to the right. The legend gives
/// each series' skewness.
Chart k_occurrence_plot(const std::vector<OccurrenceSeries>& series, idx_t k);

}  // namespace faiss_qbnorm
