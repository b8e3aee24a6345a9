#include "faiss_qbnorm/cpu/shortlists.h"

#include <algorithm>
#include <cmath>

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
      most_(known.k() + std::max<idx_t>(known.k() / 2, 32)),
      exact_(exact),
      thresholds_(known.rows()),
      lists_(known.rows()) {
    for (idx_t query = 0; query < known.rows(); query++) {
        thresholds_[query] = known.threshold(query);
    }
}

void Shortlists::raise_threshold(idx_t query, float bound) {
    if (!(bound > threshold(query))) return;
    std::atomic_ref(thresholds_[query]).store(bound, std::memory_order_relaxed);
}

void Shortlists::add(idx_t query, idx_t row, float score, float error) {
    if (k_ == 0) return;
    Item item{score - error, score + error, row};
    if (!std::isfinite(error) || !std::isfinite(score)) {
        item.low = item.high = exact_(query, row).score;
    }
    if (item.high < threshold(query)) return;
    std::vector<Item>& items = lists_[query];
    items.push_back(item);
    if (static_cast<idx_t>(items.size()) >= most_) shorten(query);
}

// Drops what the k-th best of the list excludes.
void Shortlists::cut(idx_t query) {
    std::vector<Item>& items = lists_[query];
    if (static_cast<idx_t>(items.size()) <= k_) return;
    const auto kth = items.begin() + (k_ - 1);
    std::nth_element(
        items.begin(), kth, items.end(),
        [](const Item& a, const Item& b) { return a.low > b.low; });
    raise_threshold(query, kth->low);
    const float least = threshold(query);
    std::erase_if(items, [&](const Item& item) { return item.high < least; });
}

void Shortlists::shorten(idx_t query) {
    std::vector<Item>& items = lists_[query];
    const idx_t half_free = (k_ + most_) / 2;
    cut(query);
    if (static_cast<idx_t>(items.size()) <= half_free) return;
    // The errors leave too many: exact scores decide, and of those that tie
    // the lower labels.
    score_exactly(query, items);
    cut(query);
    if (static_cast<idx_t>(items.size()) <= k_) return;
    std::nth_element(items.begin(), items.begin() + (k_ - 1), items.end(),
                     [&](const Item& a, const Item& b) {
                         return ranks_before({a.low, exact_.label(a.row)},
                                             {b.low, exact_.label(b.row)});
                     });
    items.resize(k_);
}

void Shortlists::score_exactly(idx_t query, std::vector<Item>& items) const {
    // Rows lie anywhere: ask for the next while one is scored.
    constexpr size_t ahead = 4;
    constexpr int line = 16;
    for (size_t i = 0; i < items.size() + ahead; i++) {
        if (i < items.size() && items[i].low != items[i].high) {
            const float* vector = exact_.vector(items[i].row);
            for (int j = 0; j < exact_.d(); j += line) {
                __builtin_prefetch(vector + j);
            }
        }
        if (i < ahead) continue;
        Item& item = items[i - ahead];
        if (item.low == item.high) continue;  // scored before
        item.low = item.high = exact_(query, item.row).score;
    }
}

void Shortlists::finish(idx_t query, TopLists& lists) {
    std::vector<Item>& items = lists_[query];
    cut(query);
    score_exactly(query, items);
    for (const Item& item : items) {
        lists.offer(query, {item.low, exact_.label(item.row)});
    }
    items = {};
}

}  // namespace faiss_qbnorm
