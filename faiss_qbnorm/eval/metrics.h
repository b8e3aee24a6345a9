#pragma once

#include <span>
#include <vector>

#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm {

/// Where the right answers came, in percent of the queries and in ranks from
/// 1 (Bogolin et al. 2022, section 4; the published metric code).
struct RetrievalMetrics {
    double recall_1 = 0;  ///< percent of queries with the answer in the top 1
    double recall_5 = 0;
    double recall_10 = 0;
    double recall_50 = 0;
    double median_rank = 0;
    double mean_rank = 0;
    double geometric_mean = 0;  ///< of recall at 1, 5 and 10
};

/// From each query's rank of its right answer: counted from 0, the mean
/// position where scores are tied.
RetrievalMetrics retrieval_metrics(std::vector<double> ranks);

/// How often each of `gallery_size` items is among the `labels` (any number
/// of queries' top k); label -1 is no item.
std::vector<idx_t> k_occurrence(std::span<const idx_t> labels,
                                idx_t gallery_size);

/// Hubness: the population skewness of the k-occurrence over all items, those
/// never retrieved included (Radovanovic et al. 2010); 0 where all are equal.
double k_skewness(std::span<const idx_t> occurrences);

}  // namespace faiss_qbnorm
