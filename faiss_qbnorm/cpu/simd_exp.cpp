#include "faiss_qbnorm/cpu/simd.h"

#include <algorithm>
#include <limits>

#include "faiss_qbnorm/cpu/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "faiss_qbnorm/cpu/simd_exp.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "faiss_qbnorm/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace faiss_qbnorm::simd::HWY_NAMESPACE {

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

#if HWY_TARGET <= HWY_AVX3
/// Denormal results are zero meanwhile: some processors make them slowly.
class NoDenormals {
  public:
    NoDenormals() : before_(_mm_getcsr()) {
        _mm_setcsr(before_ | _MM_FLUSH_ZERO_ON);
    }
    ~NoDenormals() { _mm_setcsr(before_); }
    NoDenormals(const NoDenormals&) = delete;
    NoDenormals& operator=(const NoDenormals&) = delete;

  private:
    unsigned before_;
};

/// 2^y, 1.5e-7 off; 0 for y below -126.
HWY_INLINE VF exp2(VF y) {
    constexpr int floor = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
    const VF r{_mm512_reduce_ps(y.raw, floor)};  // y - floor(y)
    VF p = hn::Set(f, 0x1.e974fcp-10F);
    p = hn::MulAdd(p, r, hn::Set(f, 0x1.27785ep-7F));
    p = hn::MulAdd(p, r, hn::Set(f, 0x1.c91ce6p-5F));
    p = hn::MulAdd(p, r, hn::Set(f, 0x1.ebdb58p-3F));
    p = hn::MulAdd(p, r, hn::Set(f, 0x1.62e4bap-1F));
    p = hn::MulAdd(p, r, hn::Set(f, 1.0F));
    return VF{_mm512_scalef_ps(p.raw, y.raw)};  // p 2^floor(y)
}
#else
struct NoDenormals {
    NoDenormals() {}  // none are made
};

/// 2^y, 2.1e-7 off; about 2^-125 for y below.
HWY_INLINE VF exp2(VF y) {
    const U u;
    const auto [r, exponent] = split(hn::Max(y, hn::Set(f, -125.0F)));
    VF p = hn::Set(f, 0x1.5d87dcp-10F);
    p = hn::MulAdd(p, r, hn::Set(f, 0x1.3cbe58p-7F));
    p = hn::MulAdd(p, r, hn::Set(f, 0x1.c6b26ep-5F));
    p = hn::MulAdd(p, r, hn::Set(f, 0x1.ebfa4ep-3F));
    p = hn::MulAdd(p, r, hn::Set(f, 0x1.62e42ep-1F));
    p = hn::MulAdd(p, r, hn::Set(f, 1.0F));
    return hn::BitCast(f, hn::Add(hn::BitCast(u, p), exponent));
}
#endif

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

HWY_INLINE ExpSums exp_sums_of(const float* row, idx_t columns, float scale,
                               float shift) {
    const auto lanes = static_cast<idx_t>(hn::Lanes(f));
    const VF scales = hn::Set(f, scale);
    const VF shifts = hn::Set(f, scale * shift);
    const auto exp = [&](VF s) HWY_ATTR {
        return exp2(hn::MulSub(s, scales, shifts));
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
        exp2_fine(hn::Max(y, hn::Set(f, -126.0F)), one_expm1, one_exp);
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
    const NoDenormals guard;
    for (idx_t r = 0; r < rows; r++) {
        const float* row = tile + r * columns;
        sums[r] = fine[r] ? exp_sums_of_fine(row, columns, scale, shifts[r])
                          : exp_sums_of(row, columns, scale, shifts[r]);
    }
}

}  // namespace faiss_qbnorm::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace faiss_qbnorm::simd {

HWY_EXPORT(RowMaxima);
HWY_EXPORT(ExpSumsOfRows);

void row_maxima(const float* tile, idx_t rows, idx_t columns, float* maxima) {
    HWY_DYNAMIC_DISPATCH(RowMaxima)(tile, rows, columns, maxima);
}

void exp_sums(const float* tile, idx_t rows, idx_t columns, float beta,
              const float* shifts, const std::uint8_t* fine, ExpSums* sums) {
    HWY_DYNAMIC_DISPATCH(ExpSumsOfRows)
    (tile, rows, columns, beta, shifts, fine, sums);
}

}  // namespace faiss_qbnorm::simd

#endif  // HWY_ONCE
