#pragma once

#include <span>
#include <vector>

#include "faiss_qbnorm/similarities/similarities.h"

namespace faiss_qbnorm {

/// The right items of each query, `per_query` labels; slots without one hold
/// -1, at the end.
struct RightItems {
    std::span<const idx_t> labels;
    idx_t per_query = 1;
};

/// Throws unless every query has a right item, and only ones that there are.
void check(const RightItems& truth, const Similarities& queries);

/// Where queries find the best of their right items.
struct RightRanks {
    /// One array for each offsets given, ranked by s - offset: counted from 0,
    /// the mean position where scores are tied.
    std::vector<std::vector<double>> ranks;
    std::vector<idx_t> raw_first;  ///< the first item of each query, by s
};

/// Ranks the gallery by each of `offsets` (arrays of one number an item; null:
/// by s), all in two passes over the queries' similarities.
RightRanks right_ranks(const Similarities& queries, const RightItems& truth,
                       std::span<const float* const> offsets);

}  // namespace faiss_qbnorm
