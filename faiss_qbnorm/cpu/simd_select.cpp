#include "faiss_qbnorm/cpu/simd.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "faiss_qbnorm/cpu/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "faiss_qbnorm/cpu/simd_select.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "faiss_qbnorm/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace faiss_qbnorm::simd::HWY_NAMESPACE {

template <class Mask>
HWY_INLINE void append(Mask mask, idx_t row, idx_t column, bool is_column,
                       std::vector<Place>& places) {
    static_assert(std::endian::native == std::endian::little);
    std::uint64_t bits = 0;
    std::uint8_t bytes[8] = {};
    hn::StoreMaskBits(f, mask, bytes);
    std::memcpy(&bits, bytes, sizeof bits);
    for (; bits != 0; bits &= bits - 1) {
        const auto at = static_cast<std::int32_t>(std::countr_zero(bits));
        if (is_column) {
            places.push_back({static_cast<std::int32_t>(row) + at, 0});
        } else {
            places.push_back({static_cast<std::int32_t>(row),
                              static_cast<std::int32_t>(column) + at});
        }
    }
}

/// The lanes that fail both thresholds.
template <bool with_offset>
HWY_INLINE auto failing(VF s, VF raw, VF offset, VF normalised) {
    const auto fails = hn::Lt(s, raw);
    if constexpr (with_offset) {
        return hn::And(fails, hn::Lt(hn::Sub(s, offset), normalised));
    } else {
        return fails;
    }
}

template <bool with_offset>
HWY_INLINE void select_in_row(const float* HWY_RESTRICT scores, idx_t columns,
                              const float* HWY_RESTRICT raw, VF offset,
                              const float* HWY_RESTRICT normalised, idx_t row,
                              std::vector<Place>& places) {
    const auto lanes = static_cast<idx_t>(hn::Lanes(f));
    const auto fails = [&](idx_t c) HWY_ATTR {
        const VF least =
            with_offset ? hn::LoadU(f, normalised + c) : hn::Zero(f);
        return failing<with_offset>(hn::LoadU(f, scores + c),
                                    hn::LoadU(f, raw + c), offset, least);
    };
    idx_t c = 0;
    // Almost always all fail: one branch for four vectors.
    for (; c + 4 * lanes <= columns; c += 4 * lanes) {
        const auto first = fails(c);
        const auto second = fails(c + lanes);
        const auto third = fails(c + 2 * lanes);
        const auto fourth = fails(c + 3 * lanes);
        const auto all =
            hn::And(hn::And(first, second), hn::And(third, fourth));
        if (HWY_LIKELY(hn::AllTrue(f, all))) continue;
        append(hn::Not(first), row, c, false, places);
        append(hn::Not(second), row, c + lanes, false, places);
        append(hn::Not(third), row, c + 2 * lanes, false, places);
        append(hn::Not(fourth), row, c + 3 * lanes, false, places);
    }
    for (; c + lanes <= columns; c += lanes) {
        append(hn::Not(fails(c)), row, c, false, places);
    }
    if (c == columns) return;
    const auto count = static_cast<size_t>(columns - c);
    const VF least = with_offset ? load_n(normalised + c, count) : hn::Zero(f);
    const auto passes = hn::Not(failing<with_offset>(
        load_n(scores + c, count), load_n(raw + c, count), offset, least));
    append(hn::And(passes, hn::FirstN(f, count)), row, c, false, places);
}

void Select(const float* tile, idx_t rows, idx_t columns, const float* raw,
            const float* offsets, const float* normalised,
            std::vector<Place>& places) {
    for (idx_t r = 0; r < rows; r++) {
        const float* row = tile + r * columns;
        if (offsets) {
            select_in_row<true>(row, columns, raw, hn::Set(f, offsets[r]),
                                normalised, r, places);
        } else {
            select_in_row<false>(row, columns, raw, hn::Zero(f), nullptr, r,
                                 places);
        }
    }
}

void SelectColumn(const float* scores, idx_t n, float raw, const float* offsets,
                  float normalised, std::vector<Place>& places) {
    const VF least_raw = hn::Set(f, raw);
    const VF least = hn::Set(f, normalised);
    for_vectors(
        n,
        [&](idx_t i) HWY_ATTR {
            const VF s = hn::LoadU(f, scores + i);
            auto fails = hn::Lt(s, least_raw);
            if (offsets) {
                fails = hn::And(
                    fails,
                    hn::Lt(hn::Sub(s, hn::LoadU(f, offsets + i)), least));
            }
            if (HWY_LIKELY(hn::AllTrue(f, fails))) return;
            append(hn::Not(fails), i, 0, true, places);
        },
        [&](idx_t i, size_t count) HWY_ATTR {
            const VF s = load_n(scores + i, count);
            auto fails = hn::Lt(s, least_raw);
            if (offsets) {
                fails = hn::And(
                    fails,
                    hn::Lt(hn::Sub(s, load_n(offsets + i, count)), least));
            }
            append(hn::And(hn::Not(fails), hn::FirstN(f, count)), i, 0, true,
                   places);
        });
}

void ColumnBounds(const float* tile, idx_t rows, idx_t columns,
                  const float* offsets, idx_t groups, float* bounds) {
    const VF least = hn::Set(f, -std::numeric_limits<float>::infinity());
    const auto bound = [&](auto load) HWY_ATTR {
        VF smallest = hn::Neg(least);
        for (idx_t g = 0; g < groups; g++) {
            VF most = least;
            for (idx_t r = g * rows / groups; r < (g + 1) * rows / groups;
                 r++) {
                VF s = load(r);
                if (offsets) s = hn::Sub(s, hn::Set(f, offsets[r]));
                most = hn::IfThenElse(hn::Gt(s, most), s, most);
            }
            smallest = hn::Min(smallest, most);
        }
        return smallest;
    };
    for_vectors(
        columns,
        [&](idx_t c) HWY_ATTR {
            hn::StoreU(bound([&](idx_t r) HWY_ATTR {
                           return hn::LoadU(f, tile + r * columns + c);
                       }),
                       f, bounds + c);
        },
        [&](idx_t c, size_t count) HWY_ATTR {
            HWY_ALIGN float some[hn::MaxLanes(f)];
            hn::Store(bound([&](idx_t r) HWY_ATTR {
                          return load_n(tile + r * columns + c, count);
                      }),
                      f, some);
            for (size_t j = 0; j < count; j++) bounds[c + j] = some[j];
        });
}

void CountAbove(const float* tile, idx_t rows, idx_t columns,
                const float* offsets, const float* low, const float* high,
                idx_t* above, std::vector<Place>& places) {
    for (idx_t r = 0; r < rows; r++) {
        const float* row = tile + r * columns;
        const float offset = offsets ? offsets[r] : 0;
        for (idx_t c = 0; c < columns; c++)
            above[c] += row[c] - offset > high[c];
        for_vectors(
            columns,
            [&](idx_t c) HWY_ATTR {
                const VF s = hn::Sub(hn::LoadU(f, row + c), hn::Set(f, offset));
                const auto out = hn::Or(hn::Lt(s, hn::LoadU(f, low + c)),
                                        hn::Gt(s, hn::LoadU(f, high + c)));
                if (HWY_LIKELY(hn::AllTrue(f, out))) return;
                append(hn::Not(out), r, c, false, places);
            },
            [&](idx_t c, size_t count) HWY_ATTR {
                for (size_t j = c; j < c + count; j++) {
                    const float s = row[j] - offset;
                    if (s < low[j] || s > high[j]) continue;
                    places.push_back({static_cast<std::int32_t>(r),
                                      static_cast<std::int32_t>(j)});
                }
            });
    }
}

HWY_INLINE idx_t count_no_less(const float* values, idx_t n, float bound) {
    const VF bounds = hn::Set(f, bound);
    idx_t count = 0;
    for_vectors(
        n,
        [&](idx_t i) HWY_ATTR {
            count += static_cast<idx_t>(
                hn::CountTrue(f, hn::Ge(hn::LoadU(f, values + i), bounds)));
        },
        [&](idx_t i, size_t) HWY_ATTR {
            for (; i < n; i++) count += values[i] >= bound;
        });
    return count;
}

float KthBound(const float* values, idx_t n, idx_t k, idx_t most) {
    constexpr float largest = std::numeric_limits<float>::max();
    VF least_of = hn::Set(f, values[0]);
    VF most_of = least_of;
    for_vectors(
        n,
        [&](idx_t i) HWY_ATTR {
            least_of = hn::Min(least_of, hn::LoadU(f, values + i));
            most_of = hn::Max(most_of, hn::LoadU(f, values + i));
        },
        [&](idx_t i, size_t) HWY_ATTR {
            for (; i < n; i++) {
                least_of = hn::Min(least_of, hn::Set(f, values[i]));
                most_of = hn::Max(most_of, hn::Set(f, values[i]));
            }
        });
    const float least = hn::GetLane(hn::MinOfLanes(f, least_of));
    float low = std::max(least, -largest);
    float high = std::min(hn::GetLane(hn::MaxOfLanes(f, most_of)), largest);
    if (count_no_less(values, n, low) < k) return least;
    // At least k are no less than `low`; halve what is above.
    for (idx_t count = n; count > most;) {
        const float middle = 0.5F * low + 0.5F * high;
        if (!(middle > low && middle < high)) break;
        const idx_t above = count_no_less(values, n, middle);
        if (above >= k) {
            low = middle;
            count = above;
        } else {
            high = middle;
        }
    }
    return low;
}

}  // namespace faiss_qbnorm::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace faiss_qbnorm::simd {

HWY_EXPORT(Select);
HWY_EXPORT(SelectColumn);
HWY_EXPORT(ColumnBounds);
HWY_EXPORT(CountAbove);
HWY_EXPORT(KthBound);

void select(const float* tile, idx_t rows, idx_t columns, const float* raw,
            const float* offsets, const float* normalised,
            std::vector<Place>& places) {
    HWY_DYNAMIC_DISPATCH(Select)
    (tile, rows, columns, raw, offsets, normalised, places);
}

void select_column(const float* scores, idx_t n, float raw,
                   const float* offsets, float normalised,
                   std::vector<Place>& places) {
    HWY_DYNAMIC_DISPATCH(SelectColumn)
    (scores, n, raw, offsets, normalised, places);
}

void column_bounds(const float* tile, idx_t rows, idx_t columns,
                   const float* offsets, idx_t groups, float* bounds) {
    HWY_DYNAMIC_DISPATCH(ColumnBounds)
    (tile, rows, columns, offsets, groups, bounds);
}

void count_above(const float* tile, idx_t rows, idx_t columns,
                 const float* offsets, const float* low, const float* high,
                 idx_t* above, std::vector<Place>& places) {
    HWY_DYNAMIC_DISPATCH(CountAbove)
    (tile, rows, columns, offsets, low, high, above, places);
}

float kth_bound(const float* values, idx_t n, idx_t k, idx_t most) {
    return HWY_DYNAMIC_DISPATCH(KthBound)(values, n, k, most);
}

}  // namespace faiss_qbnorm::simd

#endif  // HWY_ONCE
