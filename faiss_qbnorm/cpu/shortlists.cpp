#include "faiss_qbnorm/cpu/shortlists.h"

#include <algorithm>
#include <cmath>
#include <thread>

#include "faiss_qbnorm/cpu/simd.h"

namespace faiss_qbnorm {

namespace {

// Lists are cut when they hold so many more than k: rarely, and yet while what
// was learnt from them is new.
idx_t slack(idx_t k) {
    return std::max({idx_t{32}, k / 2, std::min(2 * k, idx_t{256})});
}

}  // namespace

void score_exactly(std::span<Contender> contenders, idx_t query,
                   const ExactScores& exact) {
    // Rows lie anywhere: ask for the next while one is scored.
    constexpr size_t ahead = 4;
    for (size_t i = 0; i < contenders.size() + ahead; i++) {
        if (i < contenders.size() && !contenders[i].is_exact()) {
            exact.prefetch(contenders[i].row);
        }
        if (i < ahead) continue;
        Contender& contender = contenders[i - ahead];
        if (contender.is_exact()) continue;
        contender.set(exact(query, contender.row).score);
    }
}

Shortlists::Shortlists(const TopLists& known, idx_t first, idx_t last,
                       const ExactScores& exact, bool shared)
    : k_(known.k()),
      aim_(known.k()),
      most_(known.k() + slack(known.k())),
      first_(first),
      shared_(shared),
      exact_(exact),
      items_(
          std::make_unique_for_overwrite<Contender[]>((last - first) * most_)),
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
    Contender item{score - error, score + error, row};
    if (!std::isfinite(error) || !std::isfinite(score)) {
        item.set(exact_(query, row).score);
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

void Shortlists::append(idx_t query, const Contender& item) {
    List& list = list_of(query);
    const std::int32_t size = list.size.load(std::memory_order_relaxed);
    items_of(query)[size] = item;
    list.size.store(size + 1, std::memory_order_relaxed);
    if (size + 1 == most_) shorten(query);
}

// Drops what the aim_-th best of the list excludes, about.
void Shortlists::cut(idx_t query) {
    if (list_of(query).size <= aim_) return;
    const std::span<Contender> list = contenders(query);
    thread_local std::vector<float> lows;
    lows.resize(list.size());
    for (size_t i = 0; i < list.size(); i++) lows[i] = list[i].low;
    raise_threshold(
        query, simd::kth_bound(lows.data(), static_cast<idx_t>(lows.size()),
                               aim_, aim_ + slack(aim_) / 8));
    const float least = threshold(query);
    std::int32_t kept = 0;
    for (const Contender& item :
         list) {  // without a branch that nobody can foresee
        list[kept] = item;
        kept += item.high < least ? 0 : 1;
    }
    list_of(query).size = kept;
}

void Shortlists::shorten(idx_t query) {
    const idx_t too_many = most_ - (most_ - k_) / 4;
    cut(query);
    if (list_of(query).size < too_many) return;
    // The errors leave too many: exact scores decide, and where they tie the
    // lower labels.
    score_exactly(contenders(query), query, exact_);
    cut(query);
    if (list_of(query).size < too_many) return;
    const std::span<Contender> list = contenders(query);
    std::nth_element(list.begin(), list.begin() + (aim_ - 1), list.end(),
                     [&](const Contender& a, const Contender& b) {
                         return ranks_before({a.low, exact_.label(a.row)},
                                             {b.low, exact_.label(b.row)});
                     });
    list_of(query).size = static_cast<std::int32_t>(aim_);
    // Of the best k of all rows some may have gone.
    if (aim_ < k_) list_of(query).failed = true;
}

void Shortlists::guess() {
    aim_ = k_;
    for (List& list : lists_) list.guess = list.threshold;
}

}  // namespace faiss_qbnorm
