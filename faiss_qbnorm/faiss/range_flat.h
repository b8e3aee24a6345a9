#pragma once

#include <faiss/impl/IDSelector.h>

#include <vector>

#include "faiss_qbnorm/faiss/search_base.h"

namespace faiss_qbnorm {

/// An item that a range search found, and its score.
struct RangeHit {
    float score;
    idx_t label;
};

/// For every query the items (that `selector`, if any, lets pass) whose exact
/// score, less their offset where the query's gate is open, is above `least`.
std::vector<std::vector<RangeHit>> range_search_flat(
    const MatrixView& gallery, const SearchPlan& plan,
    const MatrixView& queries, const std::vector<bool>& gates, float least,
    const faiss::IDSelector* selector);

}  // namespace faiss_qbnorm
