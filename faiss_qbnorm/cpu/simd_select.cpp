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
HWY_INLINE std::uint64_t bits_of(Mask mask) {
    static_assert(std::endian::native == std::endian::little);
    std::uint64_t bits = 0;
    std::uint8_t bytes[8] = {};
    hn::StoreMaskBits(f, mask, bytes);
    std::memcpy(&bits, bytes, sizeof bits);
    return bits;
}

/// Places on their way to a vector, in bulk: the last go with hand_over.
class Passed {
  public:
    explicit Passed(std::vector<Place>& places) : places_(places) {}

    /// place(i) for each bit i that is set.
    template <class PlaceOf>
    HWY_INLINE void add(std::uint64_t bits, PlaceOf place) {
        if (count_ > room - 64) hand_over();
        for (; bits != 0; bits &= bits - 1) {
            some_[count_++] = place(std::countr_zero(bits));
        }
    }

    void hand_over() {
        places_.insert(places_.end(), some_, some_ + count_);
        count_ = 0;
    }

  private:
    static constexpr int room = 512;
    std::vector<Place>& places_;
    int count_ = 0;
    Place some_[room];
};

/// The lanes of `count` rows' vectors that pass, row after row.
template <int count, bool with_offset>
HWY_INLINE std::uint64_t passing(const VF (&s)[count], const VF* offsets,
                                 VF raw, VF normalised) {
    constexpr int lanes = hn::MaxLanes(f);
    static_assert(count * lanes <= 64);
    // Almost always the largest fail: a few maxima are fewer steps than to
    // compare each.
    VF largest = s[0];
    for (int r = 1; r < count; r++) largest = hn::Max(largest, s[r]);
    auto fail = hn::Lt(largest, raw);
    if constexpr (with_offset) {
        VF most = hn::Sub(s[0], offsets[0]);
        for (int r = 1; r < count; r++) {
            most = hn::Max(most, hn::Sub(s[r], offsets[r]));
        }
        fail = hn::And(fail, hn::Lt(most, normalised));
    }
    if (HWY_LIKELY(hn::AllTrue(f, fail))) return 0;
    std::uint64_t bits = 0;
    for (int r = 0; r < count; r++) {
        auto fails = hn::Lt(s[r], raw);
        if constexpr (with_offset) {
            fails =
                hn::And(fails, hn::Lt(hn::Sub(s[r], offsets[r]), normalised));
        }
        bits |= bits_of(hn::Not(fails)) << (r * lanes);
    }
    return bits;
}

template <int count, bool with_offset>
HWY_INLINE void select_in_rows(const float* HWY_RESTRICT tile, idx_t first,
                               idx_t columns, const float* HWY_RESTRICT raw,
                               const float* HWY_RESTRICT offsets,
                               const float* HWY_RESTRICT normalised,
                               Passed& passed) {
    constexpr int lanes = hn::MaxLanes(f);
    VF offset[count];
    for (int r = 0; r < count; r++) {
        offset[r] = hn::Set(f, with_offset ? offsets[first + r] : 0);
    }
    const auto look = [&](idx_t c, std::uint64_t wanted, auto load) HWY_ATTR {
        VF s[count];
        for (int r = 0; r < count; r++) {
            s[r] = load(tile + (first + r) * columns + c);
        }
        const VF least = with_offset ? load(normalised + c) : hn::Zero(f);
        const std::uint64_t bits =
            wanted &
            passing<count, with_offset>(s, offset, load(raw + c), least);
        if (HWY_LIKELY(bits == 0)) return;
        passed.add(bits, [&](int at) {
            return Place{static_cast<std::int32_t>(first) + at / lanes,
                         static_cast<std::int32_t>(c) + at % lanes};
        });
    };
    for_vectors(
        columns,
        [&](idx_t c) HWY_ATTR {
            look(c, ~std::uint64_t{0},
                 [](const float* from) HWY_ATTR { return hn::LoadU(f, from); });
        },
        [&](idx_t c, size_t some) HWY_ATTR {
            std::uint64_t wanted = 0;
            for (int r = 0; r < count; r++) {
                wanted |= ((std::uint64_t{1} << some) - 1) << (r * lanes);
            }
            look(c, wanted, [&](const float* from) HWY_ATTR {
                return load_n(from, some);
            });
        });
}

template <bool with_offset>
HWY_INLINE void select_in_tile(const float* tile, idx_t rows, idx_t columns,
                               const float* raw, const float* offsets,
                               const float* normalised,
                               std::vector<Place>& places) {
    Passed passed(places);
    idx_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        select_in_rows<4, with_offset>(tile, r, columns, raw, offsets,
                                       normalised, passed);
    }
    for (; r < rows; r++) {
        select_in_rows<1, with_offset>(tile, r, columns, raw, offsets,
                                       normalised, passed);
    }
    passed.hand_over();
}

void Select(const float* tile, idx_t rows, idx_t columns, const float* raw,
            const float* offsets, const float* normalised,
            std::vector<Place>& places) {
    if (offsets) {
        select_in_tile<true>(tile, rows, columns, raw, offsets, normalised,
                             places);
    } else {
        select_in_tile<false>(tile, rows, columns, raw, nullptr, nullptr,
                              places);
    }
}

void SelectColumn(const float* scores, idx_t n, float raw, const float* offsets,
                  float normalised, std::vector<Place>& places) {
    const VF least_raw = hn::Set(f, raw);
    const VF least = hn::Set(f, normalised);
    Passed passed(places);
    const auto add = [&](auto passes, idx_t i) HWY_ATTR {
        passed.add(bits_of(passes), [i](int at) {
            return Place{static_cast<std::int32_t>(i) + at, 0};
        });
    };
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
            add(hn::Not(fails), i);
        },
        [&](idx_t i, size_t count) HWY_ATTR {
            const VF s = load_n(scores + i, count);
            auto fails = hn::Lt(s, least_raw);
            if (offsets) {
                fails = hn::And(
                    fails,
                    hn::Lt(hn::Sub(s, load_n(offsets + i, count)), least));
            }
            add(hn::And(hn::Not(fails), hn::FirstN(f, count)), i);
        });
    passed.hand_over();
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
    Passed passed(places);
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
                passed.add(bits_of(hn::Not(out)), [&](int at) {
                    return Place{static_cast<std::int32_t>(r),
                                 static_cast<std::int32_t>(c) + at};
                });
            },
            [&](idx_t c, size_t count) HWY_ATTR {
                for (size_t j = c; j < c + count; j++) {
                    const float s = row[j] - offset;
                    if (s < low[j] || s > high[j]) continue;
                    passed.add(1, [&](int) {
                        return Place{static_cast<std::int32_t>(r),
                                     static_cast<std::int32_t>(j)};
                    });
                }
            });
    }
    passed.hand_over();
}

/// Some values, and -infinity beyond them to a whole vector.
class Values {
    static constexpr auto lanes = static_cast<idx_t>(hn::MaxLanes(f));

  public:
    Values(const float* values, idx_t n)
        : values_(values), whole_(n - n % lanes) {
        const auto count = static_cast<size_t>(n - whole_);
        const VF nothing = hn::Set(f, -std::numeric_limits<float>::infinity());
        rest_ = hn::IfThenElse(hn::FirstN(f, count),
                               load_n(values + whole_, count), nothing);
    }

    HWY_INLINE idx_t count_no_less(float bound) const {
        const VF bounds = hn::Set(f, bound);
        size_t count = hn::CountTrue(f, hn::Ge(rest_, bounds));
        for (idx_t i = 0; i < whole_; i += lanes) {
            count +=
                hn::CountTrue(f, hn::Ge(hn::LoadU(f, values_ + i), bounds));
        }
        return static_cast<idx_t>(count);
    }

  private:
    const float* values_;
    idx_t whole_;
    VF rest_;
};

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
    const Values all(values, n);
    if (all.count_no_less(low) < k) return least;
    // At least k are no less than `low`; halve what is above.
    for (idx_t count = n; count > most;) {
        const float middle = 0.5F * low + 0.5F * high;
        if (!(middle > low && middle < high)) break;
        const idx_t above = all.count_no_less(middle);
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
