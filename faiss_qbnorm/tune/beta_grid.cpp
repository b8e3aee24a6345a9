#include "faiss_qbnorm/tune/beta_grid.h"

#include <algorithm>
#include <cmath>

#include "faiss_qbnorm/core/normalization.h"

namespace faiss_qbnorm {

namespace {

/// The population's, about the first score: 0 exactly where all are equal.
double deviation(const float* scores, idx_t n) {
    const double origin = scores[0];
    double sum = 0;
    double squares = 0;
    for (idx_t i = 0; i < n; i++) {
        const double x = scores[i] - origin;
        sum += x;
        squares += x * x;
    }
    const auto count = static_cast<double>(n);
    const double mean = sum / count;
    return std::sqrt(std::max(squares / count - mean * mean, 0.0));
}

}  // namespace

double mean_deviation(const Similarities& rows) {
    constexpr idx_t enough = 1024;
    constexpr idx_t run = 16;  // items read at once
    const idx_t items = rows.items();
    const idx_t runs = std::min(enough, items) / run + 1;
    std::vector<float> block(run * rows.rows());
    double sum = 0;
    idx_t seen = 0;
    for (idx_t i = 0; i < runs; i++) {
        const idx_t begin = items * i / runs;
        const idx_t end = std::min(begin + run, items * (i + 1) / runs);
        rows.read(begin, end, block.data());
        for (idx_t item = 0; item < end - begin; item++) {
            sum += deviation(block.data() + item * rows.rows(), rows.rows());
            seen++;
        }
    }
    return sum / static_cast<double>(seen);
}

std::vector<float> beta_grid(double sigma, int size) {
    constexpr double low = 0.2;
    constexpr double high = 8;
    const double top = std::min(high / sigma, double{max_beta});
    std::vector<float> betas;
    for (int i = 0; i < size; i++) {
        const double down = static_cast<double>(size - 1 - i) / (size - 1);
        betas.push_back(static_cast<float>(top * std::pow(low / high, down)));
    }
    return betas;
}

float peak(std::span<const float> betas, std::span<const double> values) {
    const auto best = static_cast<size_t>(
        std::max_element(values.begin(), values.end()) - values.begin());
    if (best == 0 || best + 1 == values.size()) return betas[best];
    const double before = values[best - 1];
    const double after = values[best + 1];
    const double bend = before - 2 * values[best] + after;
    if (bend >= 0) return betas[best];
    const double shift = (before - after) / (2 * bend);  // in steps of the grid
    const double step = std::log(betas[best + 1] / betas[best]);
    return static_cast<float>(betas[best] * std::exp(shift * step));
}

}  // namespace faiss_qbnorm
