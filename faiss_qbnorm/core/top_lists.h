#pragma once

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

#include "faiss_qbnorm/core/formula.h"

namespace faiss_qbnorm {

/// For each of `rows` queries the best `k` items seen so far, in any order of
/// arrival: the content depends only on the set of items offered. `Item` has a
/// score, -infinity at first, a label, -1 at first, and its ranks_before.
template <class Item>
class BasicTopLists {
  public:
    using Score = decltype(Item::score);

    BasicTopLists() = default;
    BasicTopLists(idx_t rows, idx_t k)
        : k_(k), entries_(rows * k), sizes_(rows, 0) {}

    idx_t rows() const { return static_cast<idx_t>(sizes_.size()); }
    idx_t k() const { return k_; }
    /// Forgets every item.
    void clear() { std::fill(sizes_.begin(), sizes_.end(), 0); }

    /// Whether every list is.
    bool empty() const {
        return std::all_of(sizes_.begin(), sizes_.end(),
                           [](idx_t size) { return size == 0; });
    }
    bool full(idx_t row) const { return sizes_[row] == k_; }

    /// No item with a lower score can still enter the list of `row`.
    Score threshold(idx_t row) const {
        if (!full(row)) return -std::numeric_limits<Score>::infinity();
        return k_ > 0 ? entries_[row * k_].score
                      : std::numeric_limits<Score>::infinity();
    }

    void offer(idx_t row, Item item) {
        const auto begin = entries_.begin() + row * k_;
        auto end = begin + sizes_[row];
        if (sizes_[row] < k_) {
            *end++ = item;
            sizes_[row]++;
        } else {
            if (k_ == 0 || !ranks_before(item, *begin)) return;
            std::pop_heap(begin, end, first);
            *(end - 1) = item;
        }
        std::push_heap(begin, end, first);
    }

    /// Offers many items at once, in any order: cheaper than one by one. The
    /// vector's content is used up.
    void offer_all(idx_t row, std::vector<Item>& offered) {
        const auto begin = entries_.begin() + row * k_;
        offered.insert(offered.end(), begin, begin + sizes_[row]);
        const auto kept = std::min(static_cast<idx_t>(offered.size()), k_);
        std::nth_element(offered.begin(), offered.begin() + kept, offered.end(),
                         first);
        std::copy(offered.begin(), offered.begin() + kept, begin);
        std::make_heap(begin, begin + kept, first);
        sizes_[row] = kept;
    }

    /// The items of `row`, the worst first and the rest in no order.
    std::span<const Item> items(idx_t row) const {
        return {entries_.data() + row * k_, static_cast<size_t>(sizes_[row])};
    }

    /// The items of `row` in ranking order.
    std::vector<Item> sorted(idx_t row) const {
        const auto view = items(row);
        std::vector<Item> result(view.begin(), view.end());
        std::sort(result.begin(), result.end(), first);
        return result;
    }

    /// The first item of `row`; label -1 where it has none.
    Item best(idx_t row) const {
        Item result;
        for (const Item& item : items(row)) {
            if (result.label < 0 || ranks_before(item, result)) result = item;
        }
        return result;
    }

  private:
    static constexpr auto first = [](const Item& a, const Item& b) {
        return ranks_before(a, b);
    };

    idx_t k_ = 0;
    std::vector<Item> entries_;  // per row a heap, its worst item first
    std::vector<idx_t> sizes_;
};

using TopLists = BasicTopLists<Scored>;

}  // namespace faiss_qbnorm
