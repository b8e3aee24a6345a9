#pragma once

#include <optional>
#include <string>
#include <vector>

#include "faiss_qbnorm/similarities/similarities.h"
#include "faiss_qbnorm/tune/choose_beta.h"

namespace faiss_qbnorm {

/// An item, and for how many bank queries it comes first.
struct ItemHits {
    idx_t label = 0;
    idx_t hits = 0;
};

/// What a querybank is like, and whether it does any good.
struct BankReport {
    idx_t rows = 0;
    idx_t items = 0;
    idx_t duplicates = 0;  ///< rows that repeat an earlier one, exactly
    /// Items that come first for some bank query: the activation set at
    /// activation_k = 1.
    idx_t activation = 0;
    std::vector<ItemHits> most_hit;    ///< ten at most, the most hit first
    std::optional<BetaChoice> choice;  ///< by the live queries, where given
    std::string verdict;               ///< in words
};

/// Reports on `bank` (its vectors, and their similarities with the gallery) by
/// a sample of live queries, or nullptr: without any nobody can say whether the
/// bank is of their domain.
BankReport report_bank(const MatrixView& vectors, const Similarities& bank,
                       const Similarities* queries);

}  // namespace faiss_qbnorm
