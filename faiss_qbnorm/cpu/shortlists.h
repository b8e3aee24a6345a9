#pragma once

#include <atomic>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "faiss_qbnorm/core/top_lists.h"
#include "faiss_qbnorm/cpu/bound.h"

namespace faiss_qbnorm {

/// The score that ranks one query's items, from their rows in a block.
class ExactScores {
  public:
    /// Without a table, raw scores.
    ExactScores(Metric metric, const MatrixView& queries,
                const GalleryBlock& block, const CpuTable* table)
        : metric_(metric), queries_(queries), block_(block), table_(table) {}

    Scored operator()(idx_t query, idx_t row) const;
    /// The same where the raw score is there.
    Scored from_raw(idx_t row, float raw) const;

    const float* vector(idx_t row) const { return block_.vectors.row(row); }
    idx_t label(idx_t row) const { return block_.label(row); }
    int d() const { return queries_.d; }

  private:
    Metric metric_;
    const MatrixView& queries_;
    const GalleryBlock& block_;
    const CpuTable* table_;
};

/// For many queries the items of a block that may be among the query's best k:
/// known by scores with an error, and only the last few by exact ones.
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
    /// no less than. Nothing may be known of the queries before. settle() says
    /// where that went wrong.
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

    /// Once all are added: gives what is left its exact scores, which those
    /// that are `raw` and settled may know. Says whether the best are there: a
    /// guess may have kept them out.
    bool settle(idx_t query, const Shortlists* raw);
    /// Then: offers it to `lists`.
    void offer_to(TopLists& lists, idx_t query) const;

  private:
    struct Item {
        float low;
        float high;
        idx_t row;
    };

    /// One query's: together, since threads that share them share the line.
    struct alignas(16) List {
        std::atomic<float> threshold;
        std::atomic_flag lock;  // held for a moment
        std::atomic<std::int32_t> size = 0;
        float guess = -std::numeric_limits<float>::infinity();
    };

    List& list_of(idx_t query) { return lists_[query - first_]; }
    const List& list_of(idx_t query) const { return lists_[query - first_]; }
    Item* items_of(idx_t query) const {
        return items_.get() + (query - first_) * most_;
    }
    std::span<Item> items(idx_t query) const {
        return {items_of(query), static_cast<size_t>(list_of(query).size)};
    }
    void append(idx_t query, const Item& item);
    void cut(idx_t query);
    void shorten(idx_t query);
    void score_exactly(idx_t query, const Shortlists* raw = nullptr) const;
    const Item* find(idx_t query, idx_t row) const;

    idx_t k_;
    idx_t aim_;   // k_, or less before a guess
    idx_t most_;  // items of a list
    idx_t first_;
    bool shared_;
    const ExactScores& exact_;
    std::unique_ptr<Item[]> items_;  // most_ a query
    std::vector<List> lists_;
};

}  // namespace faiss_qbnorm
