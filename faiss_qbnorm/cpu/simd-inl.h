// What the inner loops share, once for every instruction set: Highway toggles
// what would be an include guard.
#if defined(FAISS_QBNORM_CPU_SIMD_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FAISS_QBNORM_CPU_SIMD_INL_H
#undef FAISS_QBNORM_CPU_SIMD_INL_H
#else
#define FAISS_QBNORM_CPU_SIMD_INL_H
#endif

#include <hwy/highway.h>
#include <cstring>

#include "faiss_qbnorm/core/types.h"

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

}  // namespace faiss_qbnorm::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
