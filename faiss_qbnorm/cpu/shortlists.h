#pragma once

#include <atomic>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "faiss_qbnorm/core/top_lists.h"
#include "faiss_qbnorm/cpu/exact_scores.h"

namespace faiss_qbnorm {

/// An item that may be among the best: of a score from low to high.
struct Contender {
    float low;
    float high;
    idx_t row;  ///< of its block

    bool is_exact() const { return low == high; }
    void set(float exact) { low = high = exact; }
};

/// Gives the contenders that have none their exact scores.
void score_exactly(std::span<Contender> contenders, idx_t query,
                   const ExactScores& exact);

/// For many queries the items of a block that may be among the query's best k.
class Shortlists {
  public:
    /// Of queries [first, last), whose items must rank above what `known`
    /// holds already. With `shared`, threads may add at once.
    Shortlists(const TopLists& known, idx_t first, idx_t last,
               const ExactScores& exact, bool shared);

    /// How many are looked for now.
    idx_t k() const { return aim_; }

    /// To learn sooner what cannot enter: look for the best `aim` of a sample
    /// of the rows first, then guess from them what the best k of all will be
    /// no less than. Nothing may be known of the queries before.
    void aim_at(idx_t aim) { aim_ = aim; }
    void guess();

    /// An item whose score plus error is lower cannot enter. May be called
    /// while other threads add.
    float threshold(idx_t query) const {
        return list_of(query).threshold.load(std::memory_order_relaxed);
    }

    /// At least k items of the block score no less than `bound`.
    void raise_threshold(idx_t query, float bound);

    /// An item of score - error .. score + error.
    void add(idx_t query, idx_t row, float score, float error);

    /// Say that an item will be added to the query's list: early, then soon.
    /// Its lock would wait for every line on its way.
    void prefetch_list(idx_t query) const {
        __builtin_prefetch(&list_of(query), 1);
    }
    void prefetch_item(idx_t query) const {
        const auto size = list_of(query).size.load(std::memory_order_relaxed);
        __builtin_prefetch(items_of(query) + size, 1);
    }

    std::span<Contender> contenders(idx_t query) const {
        return {items_of(query), static_cast<size_t>(list_of(query).size)};
    }
    /// What the query's contenders are no less than by a guess; -infinity
    /// where none was made.
    float guess_of(idx_t query) const { return list_of(query).guess; }
    /// Whether it kept out some that it should not have.
    bool has_failed(idx_t query) const { return list_of(query).failed; }

  private:
    /// One query's: together, since threads that share them share the line.
    struct alignas(16) List {
        std::atomic<float> threshold;
        std::atomic_flag lock;  // held for a moment
        bool failed = false;
        std::atomic<std::int32_t> size = 0;
        float guess = -std::numeric_limits<float>::infinity();
    };

    List& list_of(idx_t query) { return lists_[query - first_]; }
    const List& list_of(idx_t query) const { return lists_[query - first_]; }
    Contender* items_of(idx_t query) const {
        return items_.get() + (query - first_) * most_;
    }
    void append(idx_t query, const Contender& item);
    void cut(idx_t query);
    void shorten(idx_t query);

    idx_t k_;
    idx_t aim_;   // k_, or less before a guess
    idx_t most_;  // items of a list
    idx_t first_;
    bool shared_;
    const ExactScores& exact_;
    std::unique_ptr<Contender[]> items_;  // most_ a query
    std::vector<List> lists_;
};

}  // namespace faiss_qbnorm
