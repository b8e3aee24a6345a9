#include "faiss_qbnorm/cpu/simd.h"

#include "faiss_qbnorm/cpu/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "faiss_qbnorm/cpu/simd_rows.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <hwy/cache_control.h>

#include "faiss_qbnorm/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace faiss_qbnorm::simd::HWY_NAMESPACE {

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

// Of one row with `count` others at once, whose chains of sums overlap. Eight
// sums in core/formula.h's order, in as many vectors as they take; a product
// and its sum are rounded apart, as there.
template <bool l2, int count>
HWY_INLINE void exact_scores_of(const float* HWY_RESTRICT a,
                                const float* const* rows, int d,
                                float* HWY_RESTRICT scores) {
    const hn::CappedTag<double, 8> f64;
    const hn::Rebind<float, decltype(f64)> f32;
    constexpr int width = static_cast<int>(hn::MaxLanes(f64));
    constexpr int vectors = 8 / width;
    hn::Vec<decltype(f64)> sums[count][vectors];
    for (auto& sums_of_row : sums) {
        for (auto& sum : sums_of_row) sum = hn::Zero(f64);
    }
    int i = 0;
    for (; i + 8 <= d; i += 8) {
        for (int v = 0; v < vectors; v++) {
            const int at = i + v * width;
            const auto x = hn::PromoteTo(f64, hn::LoadU(f32, a + at));
            for (int r = 0; r < count; r++) {
                const auto y = hn::PromoteTo(f64, hn::LoadU(f32, rows[r] + at));
                auto& sum = sums[r][v];
                if constexpr (l2) {
                    const auto difference = hn::Sub(x, y);
                    sum = hn::Sub(sum, hn::Mul(difference, difference));
                } else {
                    sum = hn::Add(sum, hn::Mul(x, y));
                }
            }
        }
    }
    for (int r = 0; r < count; r++) {
        HWY_ALIGN double s[8];
        for (int v = 0; v < vectors; v++) {
            hn::Store(sums[r][v], f64, s + v * width);
        }
        for (int lane = 0; i + lane < d; lane++) {
            const double x = a[i + lane];
            const double y = rows[r][i + lane];
            s[lane] += l2 ? -(x - y) * (x - y) : x * y;
        }
        scores[r] = static_cast<float>(((s[0] + s[4]) + (s[2] + s[6])) +
                                       ((s[1] + s[5]) + (s[3] + s[7])));
    }
}

template <bool l2>
HWY_INLINE void exact_scores_of_all(const float* a, const float* const* rows,
                                    idx_t count, int d, float* scores) {
    idx_t r = 0;
    for (; r + 4 <= count; r += 4) {
        exact_scores_of<l2, 4>(a, rows + r, d, scores + r);
    }
    for (; r < count; r++) exact_scores_of<l2, 1>(a, rows + r, d, scores + r);
}

void ExactScores(Metric metric, const float* a, const float* const* rows,
                 idx_t count, int d, float* scores) {
    if (metric == Metric::l2) {
        exact_scores_of_all<true>(a, rows, count, d, scores);
    } else {
        exact_scores_of_all<false>(a, rows, count, d, scores);
    }
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

}  // namespace faiss_qbnorm::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace faiss_qbnorm::simd {

HWY_EXPORT(LoadRow);
HWY_EXPORT(ExactScores);
HWY_EXPORT(DotProducts);
HWY_EXPORT(ToL2Scores);

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

void exact_scores(Metric metric, const float* a, const float* const* rows,
                  idx_t count, int d, float* scores) {
    HWY_DYNAMIC_DISPATCH(ExactScores)(metric, a, rows, count, d, scores);
}

float exact_score(Metric metric, const float* a, const float* b, int d) {
    float score = 0;
    exact_scores(metric, a, &b, 1, d, &score);
    return score;
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

}  // namespace faiss_qbnorm::simd

#endif  // HWY_ONCE
