#include "faiss_qbnorm/cpu/shortlists.h"

#include <algorithm>
#include <limits>

#include "faiss_qbnorm/cpu/simd.h"

namespace faiss_qbnorm {

namespace {

// Lists are shortened when they hold so many more than are looked for: seldom,
// and yet while what was learnt from them is new.
idx_t slack(idx_t aim) {
    return std::max<idx_t>(32, aim / 2);
}

// What errors and guesses leave of a whole block's rows should find room.
idx_t room_for(idx_t k) {
    return k + std::max(slack(k), std::min<idx_t>(2 * k, 256));
}

}  // namespace

void score_exactly(std::span<Contender> contenders, idx_t query,
                   const ExactScores& exact) {
    thread_local std::vector<idx_t> rows_of_thread;
    thread_local std::vector<float> scores_of_thread;
    std::vector<idx_t>& rows = rows_of_thread;
    std::vector<float>& scores = scores_of_thread;
    rows.clear();
    for (const Contender& contender : contenders) {
        if (!contender.is_exact()) rows.push_back(contender.row);
    }
    scores.resize(rows.size());
    exact.raw(query, rows, scores.data());
    const float* next = scores.data();
    for (Contender& contender : contenders) {
        if (contender.is_exact()) continue;
        contender.set(exact.from_raw(contender.row, *next++).score);
    }
}

float kth_low(std::span<const Contender> contenders, idx_t k, idx_t most) {
    thread_local std::vector<float> of_thread;
    std::vector<float>& lows = of_thread;
    const size_t n = contenders.size();
    if (lows.size() < n) lows.resize(n);
    for (size_t i = 0; i < n; i++) lows[i] = contenders[i].low;
    return simd::kth_bound(lows.data(), static_cast<idx_t>(n), k, most);
}

Shortlists::Shortlists(const TopLists& known, idx_t first, idx_t last,
                       const ExactScores& exact)
    : k_(known.k()),
      aim_(known.k()),
      limit_(room_for(k_)),
      room_(limit_),
      first_(first),
      exact_(exact),
      items_(huge_array<Contender>((last - first) * room_)),
      thresholds_(std::make_unique<std::atomic<float>[]>(last - first)),
      sizes_(last - first, 0),
      guesses_(last - first, -std::numeric_limits<float>::infinity()),
      failed_(last - first, 0) {
    for (idx_t query = first; query < last; query++) {
        thresholds_[query - first] = known.threshold(query);
    }
}

void Shortlists::raise_threshold(idx_t query, float bound) {
    if (!(bound > threshold(query))) return;
    thresholds_[query - first_].store(bound, std::memory_order_relaxed);
}

// Drops what the aim_-th best of the list excludes, about.
void Shortlists::cut(idx_t query) {
    const std::span<Contender> list = contenders(query);
    if (static_cast<idx_t>(list.size()) <= aim_) return;
    raise_threshold(query, kth_low(list, aim_, aim_ + slack(aim_) / 8));
    const float least = threshold(query);
    std::int32_t kept = 0;
    for (const Contender& item :
         list) {  // without a branch that nobody can foresee
        list[kept] = item;
        kept += item.high < least ? 0 : 1;
    }
    sizes_[query - first_] = kept;
}

void Shortlists::shorten(idx_t query) {
    const idx_t too_many = limit_ - (limit_ - aim_) / 4;
    std::int32_t& size = sizes_[query - first_];
    cut(query);
    if (size < too_many) return;
    // The errors leave too many: exact scores decide, and where they tie the
    // lower labels.
    score_exactly(contenders(query), query, exact_);
    cut(query);
    if (size < too_many) return;
    const std::span<Contender> list = contenders(query);
    std::nth_element(list.begin(), list.begin() + (aim_ - 1), list.end(),
                     [&](const Contender& a, const Contender& b) {
                         return ranks_before({a.low, exact_.label(a.row)},
                                             {b.low, exact_.label(b.row)});
                     });
    size = static_cast<std::int32_t>(aim_);
    // Of the best k of all rows some may have gone.
    if (aim_ < k_) failed_[query - first_] = 1;
}

void Shortlists::aim_at(idx_t aim) {
    aim_ = aim;
    limit_ = aim == k_ ? room_ : aim + slack(aim);
}

void Shortlists::guess(idx_t query) {
    cut(query);
    guesses_[query - first_] = threshold(query);
}

}  // namespace faiss_qbnorm
