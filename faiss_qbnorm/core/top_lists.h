#pragma once

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

#include "faiss_qbnorm/core/formula.h"

namespace faiss_qbnorm {

/// For each of `rows` queries the best `k` items seen so far, in any order of
/// arrival: the content depends only on the set of items offered.
class TopLists {
  public:
    TopLists() = default;
    TopLists(idx_t rows, idx_t k)
        : k_(k), entries_(rows * k), sizes_(rows, 0) {}

    idx_t rows() const { return static_cast<idx_t>(sizes_.size()); }
    idx_t k() const { return k_; }
    /// Forgets every item.
    void clear() { std::fill(sizes_.begin(), sizes_.end(), 0); }

    bool full(idx_t row) const { return sizes_[row] == k_; }

    /// No item with a lower score can still enter the list of `row`.
    float threshold(idx_t row) const {
        if (!full(row)) return -std::numeric_limits<float>::infinity();
        return k_ > 0 ? entries_[row * k_].score
                      : std::numeric_limits<float>::infinity();
    }

    void offer(idx_t row, Scored item) {
        const auto begin = entries_.begin() + row * k_;
        auto end = begin + sizes_[row];
        if (sizes_[row] < k_) {
            *end++ = item;
            sizes_[row]++;
        } else {
            if (k_ == 0 || !ranks_before(item, *begin)) return;
            std::pop_heap(begin, end, ranks_before);
            *(end - 1) = item;
        }
        std::push_heap(begin, end, ranks_before);
    }

    /// Offers many items at once, in any order: cheaper than one by one. The
    /// vector's content is used up.
    void offer_all(idx_t row, std::vector<Scored>& offered) {
        const auto begin = entries_.begin() + row * k_;
        offered.insert(offered.end(), begin, begin + sizes_[row]);
        const auto kept = std::min(static_cast<idx_t>(offered.size()), k_);
        std::nth_element(offered.begin(), offered.begin() + kept, offered.end(),
                         ranks_before);
        std::copy(offered.begin(), offered.begin() + kept, begin);
        std::make_heap(begin, begin + kept, ranks_before);
        sizes_[row] = kept;
    }

    /// The items of `row`, the worst first and the rest in no order.
    std::span<const Scored> items(idx_t row) const {
        return {entries_.data() + row * k_, static_cast<size_t>(sizes_[row])};
    }

    /// The items of `row` in ranking order.
    std::vector<Scored> sorted(idx_t row) const {
        const auto view = items(row);
        std::vector<Scored> result(view.begin(), view.end());
        std::sort(result.begin(), result.end(), ranks_before);
        return result;
    }

    /// The first item of `row`; label -1 where it has none.
    Scored best(idx_t row) const {
        Scored result;
        for (const Scored& item : items(row)) {
            if (result.label < 0 || ranks_before(item, result)) result = item;
        }
        return result;
    }

  private:
    idx_t k_ = 0;
    std::vector<Scored> entries_;  // per row a heap, its worst item first
    std::vector<idx_t> sizes_;
};

}  // namespace faiss_qbnorm
