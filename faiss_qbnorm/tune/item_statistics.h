#pragma once

#include <span>
#include <vector>

#include "faiss_qbnorm/similarities/similarities.h"

namespace faiss_qbnorm {

/// What to find out about every item, from a bank's similarities with it.
struct Wanted {
    std::vector<float> betas;
    std::vector<idx_t> neighbours;  ///< ascending, at most the bank's rows
    idx_t winners = 0;
};

/// The same for every value that was asked for, in one pass over the bank.
struct ItemStatistics {
    /// IS offsets of all items, one array a beta.
    std::vector<std::vector<float>> softmax;
    /// Means of each item's so many largest similarities, one array a count.
    std::vector<std::vector<float>> means;
    /// The best items of each bank row in ranking order, `winners` a row (all,
    /// in a smaller gallery).
    std::vector<idx_t> winners;
    idx_t winners_per_row = 0;
};

ItemStatistics item_statistics(const Similarities& bank, const Wanted& wanted);

}  // namespace faiss_qbnorm
