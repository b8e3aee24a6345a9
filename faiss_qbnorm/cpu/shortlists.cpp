#include "faiss_qbnorm/cpu/shortlists.h"

#include <algorithm>
#include <cmath>
#include <thread>

#include "faiss_qbnorm/cpu/simd.h"

namespace faiss_qbnorm {

Scored ExactScores::operator()(idx_t query, idx_t row) const {
    const float score = simd::exact_score(metric_, queries_.row(query),
                                          block_.vectors.row(row), queries_.d);
    const idx_t label = block_.label(row);
    return {table_ ? score - table_->offsets[label - table_->begin] : score,
            label};
}

Shortlists::Shortlists(const TopLists& known, const ExactScores& exact)
    : k_(known.k()),
      most_(known.k() + std::max<idx_t>(known.k() / 2, 64)),
      exact_(exact),
      items_(std::make_unique_for_overwrite<Item[]>(known.rows() * most_)),
      lists_(known.rows()) {
    for (idx_t query = 0; query < known.rows(); query++) {
        lists_[query].threshold = known.threshold(query);
    }
}

void Shortlists::raise_threshold(idx_t query, float bound) {
    if (!(bound > threshold(query))) return;
    lists_[query].threshold.store(bound, std::memory_order_relaxed);
}

void Shortlists::add(idx_t query, idx_t row, float score, float error) {
    if (k_ == 0) return;
    Item item{score - error, score + error, row};
    if (!std::isfinite(error) || !std::isfinite(score)) {
        item.low = item.high = exact_(query, row).score;
    }
    if (item.high < threshold(query)) return;
    List& list = lists_[query];
    while (list.lock.test_and_set(std::memory_order_acquire)) {
        std::this_thread::yield();
    }
    items_[query * most_ + list.size++] = item;
    if (list.size == most_) shorten(query);
    list.lock.clear(std::memory_order_release);
}

// Drops what the k-th best of the list excludes.
void Shortlists::cut(idx_t query) {
    if (lists_[query].size <= k_) return;
    const std::span<Item> list = items(query);
    const auto kth = list.begin() + (k_ - 1);
    std::nth_element(
        list.begin(), kth, list.end(),
        [](const Item& a, const Item& b) { return a.low > b.low; });
    raise_threshold(query, kth->low);
    const float least = threshold(query);
    const auto end =
        std::remove_if(list.begin(), list.end(),
                       [&](const Item& item) { return item.high < least; });
    lists_[query].size = static_cast<std::int32_t>(end - list.begin());
}

void Shortlists::shorten(idx_t query) {
    const idx_t half_free = (k_ + most_) / 2;
    cut(query);
    if (lists_[query].size <= half_free) return;
    // The errors leave too many: exact scores decide, and of those that tie
    // the lower labels.
    score_exactly(query);
    cut(query);
    if (lists_[query].size <= k_) return;
    const std::span<Item> list = items(query);
    std::nth_element(list.begin(), list.begin() + (k_ - 1), list.end(),
                     [&](const Item& a, const Item& b) {
                         return ranks_before({a.low, exact_.label(a.row)},
                                             {b.low, exact_.label(b.row)});
                     });
    lists_[query].size = static_cast<std::int32_t>(k_);
}

void Shortlists::score_exactly(idx_t query) const {
    // Rows lie anywhere: ask for the next while one is scored.
    constexpr size_t ahead = 4;
    constexpr int line = 16;
    const std::span<Item> list = items(query);
    for (size_t i = 0; i < list.size() + ahead; i++) {
        if (i < list.size() && list[i].low != list[i].high) {
            const float* vector = exact_.vector(list[i].row);
            for (int j = 0; j < exact_.d(); j += line) {
                __builtin_prefetch(vector + j);
            }
        }
        if (i < ahead) continue;
        Item& item = list[i - ahead];
        if (item.low == item.high) continue;  // scored before
        item.low = item.high = exact_(query, item.row).score;
    }
}

void Shortlists::finish(idx_t query, TopLists& lists) {
    cut(query);
    score_exactly(query);
    for (const Item& item : items(query)) {
        lists.offer(query, {item.low, exact_.label(item.row)});
    }
}

}  // namespace faiss_qbnorm
