#include "faiss_qbnorm/cpu/simd.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

// Vectors whose size the compiler does not know fit into no array.
#define HWY_DISABLED_TARGETS \
    (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "faiss_qbnorm/cpu/simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <hwy/cache_control.h>

HWY_BEFORE_NAMESPACE();
namespace faiss_qbnorm::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using F = hn::ScalableTag<float>;
using VF = hn::Vec<F>;
using U = hn::Rebind<std::uint32_t, F>;
constexpr F f;

/// Calls body(i) for whole vectors, then rest(i, count) for what is left.
template <class Body, class Rest>
HWY_INLINE void for_vectors(idx_t n, Body body, Rest rest) {
    const auto lanes = static_cast<idx_t>(hn::Lanes(f));
    idx_t i = 0;
    for (; i + lanes <= n; i += lanes) body(i);
    if (i < n) rest(i, static_cast<size_t>(n - i));
}

/// `count` lanes of what lies there, and zeros.
HWY_INLINE VF load_n(const float* from, size_t count) {
    HWY_ALIGN float some[hn::MaxLanes(f)] = {};
    std::memcpy(some, from, count * sizeof(float));
    return hn::Load(f, some);
}

// Rows follow one another in memory. Hardware follows such a stream as far as a
// page's end; this looks beyond.
constexpr idx_t ahead = 4096 / sizeof(float);

// Rounds to nearest even in integers; float32 denormals become zero.
HWY_INLINE hn::Vec<U> rounded_to_bf16(VF x) {
    const U u;
    const auto tiny = hn::Lt(hn::Abs(x), hn::Set(f, 0x1p-126F));
    const auto bits = hn::BitCast(u, hn::IfThenZeroElse(tiny, x));
    const auto odd =
        hn::And(hn::ShiftRight<16>(bits), hn::Set(u, std::uint32_t{1}));
    const auto up = hn::Add(odd, hn::Set(u, std::uint32_t{0x7fff}));
    return hn::ShiftRight<16>(hn::Add(bits, up));
}

RowSize LoadRow(const float* HWY_RESTRICT row, const float* HWY_RESTRICT center,
                int d, float* HWY_RESTRICT fp32,
                std::uint16_t* HWY_RESTRICT bf16) {
    const U u;
    const hn::Rebind<std::uint16_t, F> half;
    VF squares = hn::Zero(f);
    VF lost = hn::Zero(f);
    const auto measure = [&](VF x) HWY_ATTR {
        squares = hn::MulAdd(x, x, squares);
        if (!bf16) return hn::Zero(u);
        const auto rounded = rounded_to_bf16(x);
        const VF less = hn::Sub(x, hn::BitCast(f, hn::ShiftLeft<16>(rounded)));
        lost = hn::MulAdd(less, less, lost);
        return rounded;
    };
    for_vectors(
        d,
        [&](idx_t i) HWY_ATTR {
            hwy::Prefetch(row + i + ahead);
            VF x = hn::LoadU(f, row + i);
            if (center) x = hn::Sub(x, hn::LoadU(f, center + i));
            const auto rounded = measure(x);
            if (fp32) hn::StoreU(x, f, fp32 + i);
            if (bf16) {
                hn::StoreU(hn::TruncateTo(half, rounded), half, bf16 + i);
            }
        },
        [&](idx_t i, size_t count) HWY_ATTR {
            VF x = load_n(row + i, count);
            if (center) {
                x = hn::Sub(x, load_n(center + i, count));
            }
            const auto rounded = measure(x);
            HWY_ALIGN float some[hn::MaxLanes(f)];
            HWY_ALIGN std::uint32_t some_bits[hn::MaxLanes(f)];
            hn::Store(x, f, some);
            hn::Store(rounded, u, some_bits);
            for (size_t j = 0; j < count; j++) {
                if (fp32) fp32[i + j] = some[j];
                if (bf16)
                    bf16[i + j] = static_cast<std::uint16_t>(some_bits[j]);
            }
        });
    return {hn::GetLane(hn::SumOfLanes(f, squares)),
            hn::GetLane(hn::SumOfLanes(f, lost))};
}

// Eight sums in core/formula.h's order, in as many vectors as they take; a
// product and its sum are rounded apart, as there.
template <bool l2>
HWY_INLINE float exact_score_of(const float* HWY_RESTRICT a,
                                const float* HWY_RESTRICT b, int d) {
    const hn::CappedTag<double, 8> f64;
    const hn::Rebind<float, decltype(f64)> f32;
    constexpr int width = static_cast<int>(hn::MaxLanes(f64));
    constexpr int vectors = 8 / width;
    hn::Vec<decltype(f64)> sums[vectors];
    for (auto& sum : sums) sum = hn::Zero(f64);
    int i = 0;
    for (; i + 8 <= d; i += 8) {
        for (int v = 0; v < vectors; v++) {
            const int at = i + v * width;
            const auto x = hn::PromoteTo(f64, hn::LoadU(f32, a + at));
            const auto y = hn::PromoteTo(f64, hn::LoadU(f32, b + at));
            if constexpr (l2) {
                const auto difference = hn::Sub(x, y);
                sums[v] = hn::Sub(sums[v], hn::Mul(difference, difference));
            } else {
                sums[v] = hn::Add(sums[v], hn::Mul(x, y));
            }
        }
    }
    HWY_ALIGN double s[8];
    for (int v = 0; v < vectors; v++) hn::Store(sums[v], f64, s + v * width);
    for (int lane = 0; i + lane < d; lane++) {
        const double x = a[i + lane];
        const double y = b[i + lane];
        s[lane] += l2 ? -(x - y) * (x - y) : x * y;
    }
    return static_cast<float>(((s[0] + s[4]) + (s[2] + s[6])) +
                              ((s[1] + s[5]) + (s[3] + s[7])));
}

float ExactScore(Metric metric, const float* a, const float* b, int d) {
    return metric == Metric::l2 ? exact_score_of<true>(a, b, d)
                                : exact_score_of<false>(a, b, d);
}

// Of one left row with `count` right rows at once.
template <int count>
HWY_INLINE float dots_of_row(const float* HWY_RESTRICT left,
                             const float* HWY_RESTRICT right, int d,
                             float* HWY_RESTRICT products, idx_t stride) {
    VF squares = hn::Zero(f);
    VF sums[count];
    for (auto& sum : sums) sum = hn::Zero(f);
    for_vectors(
        d,
        [&](idx_t i) HWY_ATTR {
            const VF x = hn::LoadU(f, left + i);
            squares = hn::MulAdd(x, x, squares);
            for (int c = 0; c < count; c++) {
                sums[c] =
                    hn::MulAdd(x, hn::LoadU(f, right + c * d + i), sums[c]);
            }
        },
        [&](idx_t i, size_t some) HWY_ATTR {
            const VF x = load_n(left + i, some);
            squares = hn::MulAdd(x, x, squares);
            for (int c = 0; c < count; c++) {
                sums[c] =
                    hn::MulAdd(x, load_n(right + c * d + i, some), sums[c]);
            }
        });
    for (int c = 0; c < count; c++) {
        products[c * stride] = hn::GetLane(hn::SumOfLanes(f, sums[c]));
    }
    return hn::GetLane(hn::SumOfLanes(f, squares));
}

void DotProducts(const float* left, idx_t rows, const float* right,
                 idx_t columns, int d, float* products, float* squares) {
    for (idx_t r = 0; r < rows; r++) {
        const float* row = left + r * d;
        for (int i = 0; i < d; i += 16) hwy::Prefetch(row + i + ahead);
        idx_t c = 0;
        for (; c + 4 <= columns; c += 4) {
            squares[r] = dots_of_row<4>(row, right + c * d, d,
                                        products + c * rows + r, rows);
        }
        for (; c < columns; c++) {
            squares[r] = dots_of_row<1>(row, right + c * d, d,
                                        products + c * rows + r, rows);
        }
    }
}

void ToL2Scores(float* tile, idx_t rows, idx_t columns,
                const float* left_squares, const float* right_squares) {
    for (idx_t r = 0; r < rows; r++) {
        float* row = tile + r * columns;
        const VF left = hn::Set(f, left_squares[r]);
        const auto score = [&](VF product, VF right) HWY_ATTR {
            return hn::Sub(hn::Sub(hn::Add(product, product), left), right);
        };
        for_vectors(
            columns,
            [&](idx_t i) HWY_ATTR {
                hn::StoreU(score(hn::LoadU(f, row + i),
                                 hn::LoadU(f, right_squares + i)),
                           f, row + i);
            },
            [&](idx_t i, size_t) HWY_ATTR {
                for (idx_t j = i; j < columns; j++) {
                    row[j] = 2 * row[j] - left_squares[r] - right_squares[j];
                }
            });
    }
}

void RowMaxima(const float* tile, idx_t rows, idx_t columns, float* maxima) {
    const VF least = hn::Set(f, -std::numeric_limits<float>::infinity());
    for (idx_t r = 0; r < rows; r++) {
        const float* row = tile + r * columns;
        VF most = least;
        const auto look = [&](VF x) HWY_ATTR {
            most = hn::IfThenElse(hn::Gt(x, most), x, most);
        };
        for_vectors(
            columns, [&](idx_t i) HWY_ATTR { look(hn::LoadU(f, row + i)); },
            [&](idx_t i, size_t count) HWY_ATTR {
                look(hn::IfThenElse(hn::FirstN(f, count),
                                    load_n(row + i, count), least));
            });
        maxima[r] = hn::GetLane(hn::MaxOfLanes(f, most));
    }
}

/// y = n + r with |r| <= 1/2, and 2^n.
struct Split {
    VF r;
    hn::Vec<U> exponent;  // n where a float has its exponent
};

HWY_INLINE Split split(VF y) {
    const U u;
    const VF magic = hn::Set(f, 0x1.8p23F);  // leaves n in the low bits
    const VF shifted = hn::Add(y, magic);
    return {hn::Sub(y, hn::Sub(shifted, magic)),
            hn::ShiftLeft<23>(hn::BitCast(u, shifted))};
}

/// 2^y for y from -125, 2.1e-7 off.
HWY_INLINE VF exp2(VF y) {
    const U u;
    const auto [r, exponent] = split(y);
    VF p = hn::Set(f, 0x1.5d87dcp-10F);
    p = hn::MulAdd(p, r, hn::Set(f, 0x1.3cbe58p-7F));
    p = hn::MulAdd(p, r, hn::Set(f, 0x1.c6b26ep-5F));
    p = hn::MulAdd(p, r, hn::Set(f, 0x1.ebfa4ep-3F));
    p = hn::MulAdd(p, r, hn::Set(f, 0x1.62e42ep-1F));
    p = hn::MulAdd(p, r, hn::Set(f, 1.0F));
    return hn::BitCast(f, hn::Add(hn::BitCast(u, p), exponent));
}

/// 2^y - 1 and 2^y for y from -126; the first keeps 2e-7 of relative error near
/// y = 0, too.
HWY_INLINE void exp2_fine(VF y, VF& expm1, VF& exp) {
    const U u;
    const auto [r, exponent] = split(y);
    VF p = hn::Set(f, 0x1.4308fap-13F);
    p = hn::MulAdd(p, r, hn::Set(f, 0x1.5f07b4p-10F));
    p = hn::MulAdd(p, r, hn::Set(f, 0x1.3b2bap-7F));
    p = hn::MulAdd(p, r, hn::Set(f, 0x1.c6af6ep-5F));
    p = hn::MulAdd(p, r, hn::Set(f, 0x1.ebfbdep-3F));
    p = hn::MulAdd(p, r, hn::Set(f, 0x1.62e43p-1F));
    p = hn::Mul(p, r);
    const VF one = hn::Set(f, 1.0F);
    const VF power = hn::BitCast(f, hn::Add(hn::BitCast(u, one), exponent));
    exp = hn::MulAdd(power, p, power);
    expm1 = hn::MulAdd(power, p, hn::Sub(power, one));
}

HWY_INLINE VF at_least(VF y, float least) {
    return hn::Max(y, hn::Set(f, least));
}

HWY_INLINE ExpSums exp_sums_of(const float* row, idx_t columns, float scale,
                               float shift) {
    const auto lanes = static_cast<idx_t>(hn::Lanes(f));
    const VF scales = hn::Set(f, scale);
    const VF shifts = hn::Set(f, scale * shift);
    const auto exp = [&](VF s) HWY_ATTR {
        return exp2(at_least(hn::MulSub(s, scales, shifts), -125.0F));
    };
    VF even = hn::Zero(f);
    VF odd = hn::Zero(f);
    idx_t i = 0;
    for (; i + 2 * lanes <= columns; i += 2 * lanes) {
        even = hn::Add(even, exp(hn::LoadU(f, row + i)));
        odd = hn::Add(odd, exp(hn::LoadU(f, row + i + lanes)));
    }
    for (; i + lanes <= columns; i += lanes) {
        even = hn::Add(even, exp(hn::LoadU(f, row + i)));
    }
    if (i < columns) {
        const auto count = static_cast<size_t>(columns - i);
        odd = hn::Add(odd, hn::IfThenElseZero(hn::FirstN(f, count),
                                              exp(load_n(row + i, count))));
    }
    const float sum = hn::GetLane(hn::SumOfLanes(f, hn::Add(even, odd)));
    return {sum - static_cast<float>(columns), sum};
}

HWY_INLINE ExpSums exp_sums_of_fine(const float* row, idx_t columns,
                                    float scale, float shift) {
    const auto lanes = static_cast<idx_t>(hn::Lanes(f));
    const VF scales = hn::Set(f, scale);
    const VF shifts = hn::Set(f, shift);
    VF exp = hn::Zero(f);
    VF expm1 = hn::Zero(f);
    for (idx_t i = 0; i < columns; i += lanes) {
        const auto count = static_cast<size_t>(std::min(lanes, columns - i));
        const auto mask = hn::FirstN(f, count);
        // Subtracted first: 0 at the shift, however large scores are.
        const VF y = hn::Mul(hn::Sub(load_n(row + i, count), shifts), scales);
        VF one_expm1;
        VF one_exp;
        exp2_fine(at_least(y, -126.0F), one_expm1, one_exp);
        exp = hn::Add(exp, hn::IfThenElseZero(mask, one_exp));
        expm1 = hn::Add(expm1, hn::IfThenElseZero(mask, one_expm1));
    }
    return {hn::GetLane(hn::SumOfLanes(f, expm1)),
            hn::GetLane(hn::SumOfLanes(f, exp))};
}

void ExpSumsOfRows(const float* tile, idx_t rows, idx_t columns, float beta,
                   const float* shifts, const std::uint8_t* fine,
                   ExpSums* sums) {
    const float scale = beta * 1.442695041F;
    for (idx_t r = 0; r < rows; r++) {
        const float* row = tile + r * columns;
        sums[r] = fine[r] ? exp_sums_of_fine(row, columns, scale, shifts[r])
                          : exp_sums_of(row, columns, scale, shifts[r]);
    }
}

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

HWY_EXPORT(LoadRow);
HWY_EXPORT(ExactScore);
HWY_EXPORT(DotProducts);
HWY_EXPORT(ToL2Scores);
HWY_EXPORT(RowMaxima);
HWY_EXPORT(ExpSumsOfRows);
HWY_EXPORT(Select);
HWY_EXPORT(SelectColumn);
HWY_EXPORT(ColumnBounds);
HWY_EXPORT(CountAbove);
HWY_EXPORT(KthBound);

std::string instruction_set() {
    // Calling one of the kernels makes Highway choose.
    exact_score(Metric::inner_product, nullptr, nullptr, 0);
    const std::int64_t chosen =
        static_cast<std::int64_t>(hwy::SupportedTargets()) & HWY_TARGETS;
    return hwy::TargetName(chosen & -chosen);
}

RowSize load_row(const float* row, const float* center, int d, float* fp32,
                 std::uint16_t* bf16) {
    return HWY_DYNAMIC_DISPATCH(LoadRow)(row, center, d, fp32, bf16);
}

float exact_score(Metric metric, const float* a, const float* b, int d) {
    return HWY_DYNAMIC_DISPATCH(ExactScore)(metric, a, b, d);
}

void dot_products(const float* left, idx_t rows, const float* right,
                  idx_t columns, int d, float* products, float* squares) {
    HWY_DYNAMIC_DISPATCH(DotProducts)
    (left, rows, right, columns, d, products, squares);
}

void to_l2_scores(float* tile, idx_t rows, idx_t columns,
                  const float* left_squares, const float* right_squares) {
    HWY_DYNAMIC_DISPATCH(ToL2Scores)
    (tile, rows, columns, left_squares, right_squares);
}

void row_maxima(const float* tile, idx_t rows, idx_t columns, float* maxima) {
    HWY_DYNAMIC_DISPATCH(RowMaxima)(tile, rows, columns, maxima);
}

void exp_sums(const float* tile, idx_t rows, idx_t columns, float beta,
              const float* shifts, const std::uint8_t* fine, ExpSums* sums) {
    HWY_DYNAMIC_DISPATCH(ExpSumsOfRows)
    (tile, rows, columns, beta, shifts, fine, sums);
}

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
