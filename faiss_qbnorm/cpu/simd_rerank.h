#pragma once

#include <cstdint>

#include "faiss_qbnorm/core/types.h"

/// The inner loops of rerank, compiled as simd.h's are. A candidate with label
/// -1 is none.

namespace faiss_qbnorm::simd {

/// What a candidate list looks like before its offsets are read.
struct ListLook {
    /// A score that is not finite, or a label that is neither -1 nor in the
    /// table.
    bool bad = false;
    idx_t top1 = -1;  ///< the label of the first by score, ties to the lower,
                      ///< if it is wanted
};

ListLook look_at_list(const float* scores, const idx_t* labels, idx_t n,
                      idx_t table_begin, idx_t table_end, bool wants_top1);

/// differences[i] = scores[i] - offsets[labels[i] - table_begin], -infinity
/// for no candidate.
void subtract_offsets(const float* scores, const idx_t* labels, idx_t n,
                      const float* offsets, idx_t table_begin,
                      float* differences);

/// The same without offsets.
void copy_scores(const float* scores, const idx_t* labels, idx_t n,
                 float* differences);

/// The most best of a list that `contenders` looks for.
constexpr idx_t most_best = 40;

/// Values that `contenders` may write beyond the places it found.
constexpr idx_t more_places = 16;

/// Writes to `places`, which holds n + more_places, where the best k of n
/// values are and perhaps some more, in order of place; says how many. All that
/// tie with the k-th are among them. k is at least 1 and at most most_best.
idx_t contenders(const float* values, idx_t n, idx_t k, std::int32_t* places);

/// The most values that `rank` takes.
constexpr idx_t most_ranked = 64;

/// ranks[i] = how many of the n values are larger than the i-th; false where
/// two are equal.
bool rank(const float* values, idx_t n, std::int32_t* ranks);

}  // namespace faiss_qbnorm::simd
