#pragma once

#include <atomic>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "faiss_qbnorm/core/huge_pages.h"
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

/// A bound that the low ends of at least k contenders, and of few more than
/// `most`, are no less than. There must be k.
float kth_low(std::span<const Contender> contenders, idx_t k, idx_t most);

/// Gives the contenders that have none their exact scores.
void score_exactly(std::span<Contender> contenders, idx_t query,
                   const ExactScores& exact);

/// For many queries the items of a block that may be among the query's best k.
/// One thread at a time may change a query's.
class Shortlists {
  public:
    /// Of queries [first, last), whose items must rank above what `known`
    /// holds already.
    Shortlists(const TopLists& known, idx_t first, idx_t last,
               const ExactScores& exact);

    idx_t k() const { return k_; }
    /// How many are looked for now.
    idx_t aim() const { return aim_; }

    /// To learn sooner what cannot enter: look for the best `aim` of a sample
    /// of the rows first, then guess from them what the best k of all will be
    /// no less than. Samples may grow, and end with an aim of k; nothing else
    /// may be known before.
    void aim_at(idx_t aim);
    void guess(idx_t query);

    /// An item whose score plus error is lower cannot enter. May be called
    /// while another thread adds.
    float threshold(idx_t query) const {
        return thresholds_[query - first_].load(std::memory_order_relaxed);
    }

    /// At least k items of the block score no less than `bound`. May be called
    /// while another thread adds; of two at once either may be lost.
    void raise_threshold(idx_t query, float bound);

    /// An item of score - error .. score + error.
    void add(idx_t query, idx_t row, float score, float error) {
        if (k_ == 0) return;
        Contender item{score - error, score + error, row};
        if (!std::isfinite(error) || !std::isfinite(score)) {
            item.set(exact_(query, row).score);
        }
        if (item.high < threshold(query)) return;
        std::int32_t& size = sizes_[query - first_];
        items_of(query)[size] = item;
        if (++size == limit_) shorten(query);
    }

    /// Says that an item will be added to the query's list soon.
    void prefetch(idx_t query) const {
        __builtin_prefetch(items_of(query) + sizes_[query - first_], 1);
    }

    std::span<Contender> contenders(idx_t query) const {
        return {items_of(query), static_cast<size_t>(sizes_[query - first_])};
    }
    /// What the query's contenders are no less than by a guess; -infinity
    /// where none was made.
    float guess_of(idx_t query) const { return guesses_[query - first_]; }
    /// Whether it kept out some that it should not have.
    bool has_failed(idx_t query) const { return failed_[query - first_]; }

  private:
    Contender* items_of(idx_t query) const {
        return items_.get() + (query - first_) * room_;
    }
    void cut(idx_t query);
    void shorten(idx_t query);

    idx_t k_;
    idx_t aim_;    // k_, or less before a guess
    idx_t limit_;  // items of a list before it is shortened
    idx_t room_;   // items a list has room for
    idx_t first_;
    const ExactScores& exact_;
    HugeArray<Contender> items_;  // room_ a query
    // By query:
    std::unique_ptr<std::atomic<float>[]> thresholds_;
    std::vector<std::int32_t> sizes_;
    std::vector<float> guesses_;
    std::vector<std::uint8_t> failed_;
};

}  // namespace faiss_qbnorm
