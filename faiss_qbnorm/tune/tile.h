#pragma once

#include <vector>

#include "faiss_qbnorm/core/top_lists.h"
#include "faiss_qbnorm/similarities/similarities.h"

namespace faiss_qbnorm {

/// Similarities of some rows with a block of items, item after item.
struct Tile {
    idx_t items = 0;
    idx_t columns = 0;  ///< the rows they are of
    std::vector<float> scores;

    void read(const Similarities& similarities, idx_t begin, idx_t end);
    const float* item(idx_t i) const { return scores.data() + i * columns; }
};

/// Offers each column's list the items of a tile, which begin with label
/// `first_label`, by s - offset or, without offsets (nullptr), by s.
void offer(const Tile& tile, idx_t first_label, const float* offsets,
           TopLists& lists);

}  // namespace faiss_qbnorm
