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

Shortlists::Shortlists(const TopLists& known, idx_t first, idx_t last,
                       const ExactScores& exact, bool shared)
    : k_(known.k()),
      most_(known.k() + std::max<idx_t>(known.k() / 2, 32)),
      first_(first),
      shared_(shared),
      exact_(exact),
      items_(std::make_unique_for_overwrite<Item[]>((last - first) * most_)),
      lists_(last - first) {
    for (idx_t query = first; query < last; query++) {
        list_of(query).threshold = known.threshold(query);
    }
}

void Shortlists::raise_threshold(idx_t query, float bound) {
    if (!(bound > threshold(query))) return;
    list_of(query).threshold.store(bound, std::memory_order_relaxed);
}

void Shortlists::add(idx_t query, idx_t row, float score, float error) {
    if (k_ == 0) return;
    Item item{score - error, score + error, row};
    if (!std::isfinite(error) || !std::isfinite(score)) {
        item.low = item.high = exact_(query, row).score;
    }
    if (item.high < threshold(query)) return;
    if (!shared_) {
        append(query, item);
        return;
    }
    std::atomic_flag& lock = list_of(query).lock;
    while (lock.test_and_set(std::memory_order_acquire)) {
        std::this_thread::yield();
    }
    append(query, item);
    lock.clear(std::memory_order_release);
}

void Shortlists::append(idx_t query, const Item& item) {
    List& list = list_of(query);
    const std::int32_t size = list.size.load(std::memory_order_relaxed);
    items_of(query)[size] = item;
    list.size.store(size + 1, std::memory_order_relaxed);
    if (size + 1 == most_) shorten(query);
}

// Drops what the k-th best of the list excludes, about.
void Shortlists::cut(idx_t query) {
    if (list_of(query).size <= k_) return;
    const std::span<Item> list = items(query);
    thread_local std::vector<float> lows;
    lows.resize(list.size());
    for (size_t i = 0; i < list.size(); i++) lows[i] = list[i].low;
    raise_threshold(
        query, simd::kth_bound(lows.data(), static_cast<idx_t>(lows.size()), k_,
                               k_ + (most_ - k_) / 8));
    const float least = threshold(query);
    std::int32_t kept = 0;
    for (const Item& item : list) {  // without a branch that nobody can foresee
        list[kept] = item;
        kept += item.high < least ? 0 : 1;
    }
    list_of(query).size = kept;
}

void Shortlists::shorten(idx_t query) {
    const idx_t half_free = (k_ + most_) / 2;
    cut(query);
    if (list_of(query).size <= half_free) return;
    // The errors leave too many: exact scores decide, and of those that tie
    // the lower labels.
    score_exactly(query);
    cut(query);
    if (list_of(query).size <= k_) return;
    const std::span<Item> list = items(query);
    std::nth_element(list.begin(), list.begin() + (k_ - 1), list.end(),
                     [&](const Item& a, const Item& b) {
                         return ranks_before({a.low, exact_.label(a.row)},
                                             {b.low, exact_.label(b.row)});
                     });
    list_of(query).size = static_cast<std::int32_t>(k_);
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

void Shortlists::settle(idx_t query) {
    cut(query);
    score_exactly(query);
}

void Shortlists::offer_to(TopLists& lists, idx_t query) const {
    for (const Item& item : items(query)) {
        lists.offer(query, {item.low, exact_.label(item.row)});
    }
}

}  // namespace faiss_qbnorm
