#pragma once

#include <limits>
#include <span>
#include <vector>

#include "faiss_qbnorm/core/types.h"
#include "faiss_qbnorm/engine.h"

namespace faiss_qbnorm {

/// The right items of each query: `width` labels a row, in any order, rows
/// padded with -1. A query's rank is that of its best-scored right item; one
/// that has none is never answered, and its rank is infinite. (Several captions
/// of an item are several queries.)
struct GroundTruth {
    idx_t width = 1;
    std::vector<idx_t> labels;

    idx_t rows() const { return static_cast<idx_t>(labels.size()) / width; }
    std::span<const idx_t> row(idx_t query) const {
        return std::span(labels).subspan(query * width, width);
    }
};

/// Query i's right item is floor(i * items / queries): as many queries in a row
/// for each item, as the published metric code has them (Bogolin et al. 2022).
/// Throws where `items` do not divide `queries`.
GroundTruth contiguous_groundtruth(idx_t queries, idx_t items);

/// Throws unless there is a row for each query, of labels from -1 to items - 1.
void check(const GroundTruth& truth, idx_t queries, idx_t items);

/// Whether a row names any item.
bool has_answer(std::span<const idx_t> row);

/// The rows of queries [begin, end).
GroundTruth slice(const GroundTruth& truth, idx_t begin, idx_t end);

/// The rows of these queries, in this order.
GroundTruth rows_of(const GroundTruth& truth, std::span<const idx_t> queries);

/// The same seen from the items (video to text): a row for each of `items`, of
/// the queries whose right item it is.
GroundTruth inverted(const GroundTruth& truth, idx_t items);

/// The rank of an answer that never comes.
inline constexpr double never = std::numeric_limits<double>::infinity();

/// The rank of a score: counted from 0, the mean position of all items that are
/// level with it, itself included (published metric code: ties are averaged).
inline double mean_rank(const RankCount& count) {
    return static_cast<double>(count.before) +
           static_cast<double>(count.level - 1) / 2;
}

}  // namespace faiss_qbnorm
