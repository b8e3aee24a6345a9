#include "faiss_qbnorm/cpu/best_of.h"

#include <functional>

namespace faiss_qbnorm {

void BestOf::offer(const float* scores, const idx_t* labels, size_t n,
                   TopLists& list) {
    const auto size = static_cast<idx_t>(n);
    const float least_score = least(scores, size, list);
    places_.clear();
    simd::select_column(scores, size, least_score, nullptr, 0, places_);
    found_.clear();
    for (const simd::Place& place : places_) {
        const float score = scores[place.row];
        if (score >= least_score) found_.push_back({score, labels[place.row]});
    }
    list.offer_all(0, found_);
}

/// No lower score can enter the list. As many groups of scores as it has
/// places hold one that is no lower than the last of their maxima.
float BestOf::least(const float* scores, idx_t n, const TopLists& list) {
    constexpr idx_t group = 16;
    const idx_t groups = n / group;
    if (groups < list.k()) return list.threshold(0);
    maxima_.resize(groups);
    simd::row_maxima(scores, groups, group, maxima_.data());
    const auto last = maxima_.begin() + (list.k() - 1);
    std::nth_element(maxima_.begin(), last, maxima_.end(), std::greater<>());
    return std::max(list.threshold(0), *last);
}

}  // namespace faiss_qbnorm
