#include "faiss_qbnorm/eval/metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "faiss_qbnorm/core/error.h"

namespace faiss_qbnorm {

RetrievalMetrics retrieval_metrics(std::vector<double> ranks) {
    require(!ranks.empty(), "there are no queries to evaluate");
    std::sort(ranks.begin(), ranks.end());
    const auto n = static_cast<double>(ranks.size());
    const auto recall_at = [&](double k) {
        const auto found =
            std::lower_bound(ranks.begin(), ranks.end(), k) - ranks.begin();
        return 100 * (static_cast<double>(found) / n);
    };
    RetrievalMetrics result;
    // A tie for the first place has rank .5: not found at 1, as published.
    result.recall_1 =
        100 *
        (static_cast<double>(std::count(ranks.begin(), ranks.end(), 0)) / n);
    result.recall_5 = recall_at(5);
    result.recall_10 = recall_at(10);
    result.recall_50 = recall_at(50);
    const size_t middle = ranks.size() / 2;
    result.median_rank =
        1 + (ranks.size() % 2 ? ranks[middle]
                              : (ranks[middle - 1] + ranks[middle]) / 2);
    result.mean_rank = 1 + std::reduce(ranks.begin(), ranks.end()) / n;
    result.geometric_mean =
        std::cbrt(result.recall_1 * result.recall_5 * result.recall_10);
    return result;
}

std::vector<idx_t> k_occurrence(std::span<const idx_t> labels,
                                idx_t gallery_size) {
    std::vector<idx_t> occurrences(gallery_size, 0);
    for (const idx_t label : labels) {
        if (label >= 0) occurrences.at(label)++;
    }
    return occurrences;
}

double k_skewness(std::span<const idx_t> occurrences) {
    require(!occurrences.empty(), "there are no items to count");
    const auto n = static_cast<double>(occurrences.size());
    double mean = 0;
    for (const idx_t count : occurrences)
        mean += static_cast<double>(count) / n;
    double second = 0;
    double third = 0;
    for (const idx_t count : occurrences) {
        const double deviation = static_cast<double>(count) - mean;
        second += deviation * deviation / n;
        third += deviation * deviation * deviation / n;
    }
    return second > 0 ? third / std::pow(second, 1.5) : 0;
}

}  // namespace faiss_qbnorm
