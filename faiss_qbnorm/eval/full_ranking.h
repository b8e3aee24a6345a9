#pragma once

#include <vector>

#include "faiss_qbnorm/core/method_scores.h"
#include "faiss_qbnorm/similarities/similarities.h"

namespace faiss_qbnorm {

/// How one method ranks all items for every query.
struct FullRanking {
    /// nq x k in ranking order, padded with label -1, score -infinity. For what
    /// a score is see MethodScores::answer.
    std::vector<idx_t> labels;
    std::vector<float> scores;
    /// Of each query's highest-scored right item, counted from 0: the mean
    /// position of those level with it; infinity where there is no right item.
    /// Empty without targets.
    std::vector<double> target_ranks;
    /// 1 where the query's gate is open, of dualdis either of its gates.
    std::vector<std::uint8_t> open;
};

struct RankOptions {
    idx_t k = 10;
    /// Right items of each query: labels, the same number a query, padded with
    /// -1; empty where ranks are not asked for.
    std::span<const idx_t> targets = {};
    /// For gc: bank queries x items.
    const Similarities* querybank = nullptr;
};

/// Ranks by every method at once from the similarities of nq queries, read
/// twice where there are gates or targets. Memory: a block, and the answers;
/// for gc a block of the bank's, too. Throws on tables that do not serve, on
/// targets that are no items, and where gc has no bank.
std::vector<FullRanking> rank_all(const Similarities& queries,
                                  std::span<const TabledMethod> methods,
                                  const RankOptions& options);

}  // namespace faiss_qbnorm
