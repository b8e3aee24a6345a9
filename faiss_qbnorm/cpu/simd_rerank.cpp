#include "faiss_qbnorm/cpu/simd_rerank.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "faiss_qbnorm/cpu/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "faiss_qbnorm/cpu/simd_rerank.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "faiss_qbnorm/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace faiss_qbnorm::simd::HWY_NAMESPACE {

using I = hn::Rebind<std::int32_t, F>;
using L = hn::ScalableTag<std::int64_t>;
constexpr auto lanes = static_cast<idx_t>(hn::MaxLanes(f));
constexpr float nothing = -std::numeric_limits<float>::infinity();
static_assert(lanes <= more_places);

HWY_INLINE float largest(const float* values, idx_t n) {
    VF most = hn::Set(f, nothing);
    idx_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        most = hn::Max(most, hn::LoadU(f, values + i));
    }
    float result = hn::GetLane(hn::MaxOfLanes(f, most));
    for (; i < n; i++) result = std::max(result, values[i]);
    return result;
}

HWY_INLINE bool all_finite(const float* values, idx_t n) {
    const VF most = hn::Set(f, std::numeric_limits<float>::max());
    auto good = hn::Le(hn::Zero(f), most);
    idx_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        good = hn::And(good, hn::Le(hn::Abs(hn::LoadU(f, values + i)), most));
    }
    bool result = hn::AllTrue(f, good);
    for (; i < n; i++) result = result && std::isfinite(values[i]);
    return result;
}

// Whether all labels are of [begin, end).
HWY_INLINE bool all_within(const idx_t* labels, idx_t n, idx_t begin,
                           idx_t end) {
    const L l;
    constexpr auto width = static_cast<idx_t>(hn::MaxLanes(l));
    const auto first = hn::Set(l, begin);
    const auto last = hn::Set(l, end - 1);
    auto outside = hn::Lt(last, first);  // of an empty table
    idx_t i = 0;
    for (; i + width <= n; i += width) {
        const auto label = hn::LoadU(l, labels + i);
        outside =
            hn::Or(outside, hn::Or(hn::Lt(label, first), hn::Gt(label, last)));
    }
    bool result = hn::AllFalse(l, outside);
    for (; i < n; i++) {
        result = result && labels[i] >= begin && labels[i] < end;
    }
    return result;
}

// Any list: with places that hold no candidate, or bad ones.
ListLook look_closely(const float* scores, const idx_t* labels, idx_t n,
                      idx_t begin, idx_t end) {
    ListLook look;
    float best = nothing;
    for (idx_t i = 0; i < n; i++) {
        if (labels[i] == -1) continue;
        if (labels[i] < begin || labels[i] >= end ||
            !std::isfinite(scores[i])) {
            look.bad = true;
        }
        const bool first = look.top1 < 0 || scores[i] > best ||
                           (scores[i] == best && labels[i] < look.top1);
        if (!first) continue;
        best = scores[i];
        look.top1 = labels[i];
    }
    return look;
}

ListLook LookAtList(const float* scores, const idx_t* labels, idx_t n,
                    idx_t begin, idx_t end, bool wants_top1) {
    if (n == 0 || !all_within(labels, n, begin, end) ||
        !all_finite(scores, n)) {
        return look_closely(scores, labels, n, begin, end);
    }
    if (!wants_top1) return {};
    const float best = largest(scores, n);
    const VF bests = hn::Set(f, best);
    idx_t top1 = std::numeric_limits<idx_t>::max();
    idx_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        const auto same = hn::Eq(hn::LoadU(f, scores + i), bests);
        if (HWY_LIKELY(hn::AllFalse(f, same))) continue;
        for (idx_t j = i; j < i + lanes; j++) {
            if (scores[j] == best) top1 = std::min(top1, labels[j]);
        }
    }
    for (; i < n; i++) {
        if (scores[i] == best) top1 = std::min(top1, labels[i]);
    }
    return {false, top1};
}

void SubtractOffsets(const float* scores, const idx_t* labels, idx_t n,
                     const float* offsets, idx_t begin, float* differences) {
    for (idx_t i = 0; i < n; i++) {
        const bool is = labels[i] >= 0;
        const float less = offsets[is ? labels[i] - begin : 0];
        differences[i] = is ? scores[i] - less : nothing;
    }
}

void CopyScores(const float* scores, const idx_t* labels, idx_t n,
                float* differences) {
    for (idx_t i = 0; i < n; i++) {
        const float none = nothing;
        differences[i] = labels[i] >= 0 ? scores[i] : none;
    }
}

constexpr idx_t most_groups = (most_best * 3 / 2 + lanes - 1) / lanes;

// How many of `count` values are larger than each of a vector's.
HWY_INLINE hn::Vec<I> larger_than(VF values, const float* all, idx_t count) {
    const I i32;
    auto larger = hn::Zero(i32);
    for (idx_t j = 0; j < count; j++) {
        const auto more = hn::Gt(hn::Set(f, all[j]), values);
        // A true lane is -1.
        larger =
            hn::Sub(larger, hn::VecFromMask(i32, hn::RebindMask(i32, more)));
    }
    return larger;
}

// A value that at least k of the n are no less than: the k-th largest of the
// maxima of some groups of them.
HWY_INLINE float kth_bound(const float* values, idx_t n, idx_t k) {
    const I i32;
    const idx_t groups = std::min((k * 3 / 2 + lanes - 1) / lanes, most_groups);
    const idx_t stride = groups * lanes;
    if (stride > n) return nothing;
    HWY_ALIGN float maxima[most_groups * lanes];
    for (idx_t g = 0; g < groups; g++) {
        VF most = hn::LoadU(f, values + g * lanes);
        idx_t i = g * lanes + stride;
        for (; i + lanes <= n; i += stride) {
            most = hn::Max(most, hn::LoadU(f, values + i));
        }
        hn::Store(most, f, maxima + g * lanes);
    }
    const auto wanted = hn::Set(i32, static_cast<std::int32_t>(k));
    VF bound = hn::Set(f, std::numeric_limits<float>::infinity());
    for (idx_t g = 0; g < groups; g++) {
        const VF most = hn::Load(f, maxima + g * lanes);
        const auto among = hn::Lt(larger_than(most, maxima, stride), wanted);
        bound = hn::Min(bound,
                        hn::IfThenElse(hn::RebindMask(f, among), most, bound));
    }
    return hn::GetLane(hn::MinOfLanes(f, bound));
}

idx_t Contenders(const float* values, idx_t n, idx_t k,
                 std::int32_t* HWY_RESTRICT places) {
    const I i32;
    const float least = kth_bound(values, n, k);
    const VF bound = hn::Set(f, least);
    idx_t count = 0;
    idx_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        const auto passes = hn::Ge(hn::LoadU(f, values + i), bound);
        const auto here = hn::Iota(i32, static_cast<std::int32_t>(i));
        const auto kept = static_cast<idx_t>(hn::CompressStore(
            here, hn::RebindMask(i32, passes), i32, places + count));
        count += kept;
    }
    for (; i < n; i++) {
        if (values[i] >= least) places[count++] = static_cast<std::int32_t>(i);
    }
    return count;
}

bool Rank(const float* values, idx_t n, std::int32_t* ranks) {
    const I i32;
    HWY_ALIGN float padded[most_ranked + lanes];
    HWY_ALIGN std::int32_t result[most_ranked + lanes];
    std::copy_n(values, n, padded);
    std::fill(padded + n, padded + n + lanes, nothing);
    for (idx_t i = 0; i < n; i += lanes) {
        hn::Store(larger_than(hn::Load(f, padded + i), padded, n), i32,
                  result + i);
    }
    // Ranks of distinct values are all different.
    std::uint64_t seen = 0;
    for (idx_t i = 0; i < n; i++) {
        seen |= std::uint64_t{1} << result[i];
        ranks[i] = result[i];
    }
    const std::uint64_t all =
        n == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << n) - 1;
    return seen == all;
}

}  // namespace faiss_qbnorm::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace faiss_qbnorm::simd {

HWY_EXPORT(LookAtList);
HWY_EXPORT(SubtractOffsets);
HWY_EXPORT(CopyScores);
HWY_EXPORT(Contenders);
HWY_EXPORT(Rank);

ListLook look_at_list(const float* scores, const idx_t* labels, idx_t n,
                      idx_t table_begin, idx_t table_end, bool wants_top1) {
    return HWY_DYNAMIC_DISPATCH(LookAtList)(scores, labels, n, table_begin,
                                            table_end, wants_top1);
}

void subtract_offsets(const float* scores, const idx_t* labels, idx_t n,
                      const float* offsets, idx_t table_begin,
                      float* differences) {
    HWY_DYNAMIC_DISPATCH(SubtractOffsets)
    (scores, labels, n, offsets, table_begin, differences);
}

void copy_scores(const float* scores, const idx_t* labels, idx_t n,
                 float* differences) {
    HWY_DYNAMIC_DISPATCH(CopyScores)(scores, labels, n, differences);
}

idx_t contenders(const float* values, idx_t n, idx_t k, std::int32_t* places) {
    return HWY_DYNAMIC_DISPATCH(Contenders)(values, n, k, places);
}

bool rank(const float* values, idx_t n, std::int32_t* ranks) {
    return HWY_DYNAMIC_DISPATCH(Rank)(values, n, ranks);
}

}  // namespace faiss_qbnorm::simd

#endif  // HWY_ONCE
