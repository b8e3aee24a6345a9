// CUDA's atomics and intrinsics. Threads give way only where they meet, so that
// an atomic is a plain operation.
#pragma once

#include <math.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <type_traits>

namespace qbnorm_host {

// CUDA has atomics for these types only; uint64_t is another one on Linux.
template <typename T, typename... Allowed>
concept OneOf = (std::is_same_v<T, Allowed> || ...);
template <typename T>
concept Addable = OneOf<T, int, unsigned, unsigned long long, float, double>;
template <typename T>
concept Comparable = OneOf<T, int, unsigned, long long, unsigned long long>;
template <typename T>
concept Bits = OneOf<T, int, unsigned, unsigned long long>;

template <typename T>
T exchange(T* address, T value) {
    const T old = *address;
    *address = value;
    return old;
}

/// Keeps the compiler from contracting a product into a later sum.
template <typename T>
T rounded(T value) {
    asm("" : "+x"(value));
    return value;
}

}  // namespace qbnorm_host

template <qbnorm_host::Addable T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
    if constexpr (std::is_same_v<T, int>) {  // wraps around
        value = int(unsigned(*address) + unsigned(value));
    } else {
        value = *address + value;
    }
    return qbnorm_host::exchange(address, value);
}
template <qbnorm_host::OneOf<int, unsigned> T>
T atomicSub(T* address, std::type_identity_t<T> value) {
    return qbnorm_host::exchange(address,
                                 T(unsigned(*address) - unsigned(value)));
}
template <qbnorm_host::Comparable T>
T atomicMax(T* address, std::type_identity_t<T> value) {
    return qbnorm_host::exchange(address, *address < value ? value : *address);
}
template <qbnorm_host::Comparable T>
T atomicMin(T* address, std::type_identity_t<T> value) {
    return qbnorm_host::exchange(address, value < *address ? value : *address);
}
template <qbnorm_host::Bits T>
T atomicCAS(T* address, std::type_identity_t<T> expected,
            std::type_identity_t<T> value) {
    return qbnorm_host::exchange(address,
                                 *address == expected ? value : *address);
}
template <qbnorm_host::OneOf<int, unsigned, unsigned long long, float> T>
T atomicExch(T* address, std::type_identity_t<T> value) {
    return qbnorm_host::exchange(address, value);
}
template <qbnorm_host::Bits T>
T atomicOr(T* address, std::type_identity_t<T> value) {
    return qbnorm_host::exchange(address, T(*address | value));
}
template <qbnorm_host::Bits T>
T atomicAnd(T* address, std::type_identity_t<T> value) {
    return qbnorm_host::exchange(address, T(*address & value));
}
template <qbnorm_host::Bits T>
T atomicXor(T* address, std::type_identity_t<T> value) {
    return qbnorm_host::exchange(address, T(*address ^ value));
}
inline void __threadfence() {}
inline void __threadfence_block() {}
[[noreturn]] inline void __trap() {
    throw std::logic_error("__trap");
}

template <typename T>
T __ldg(const T* address) {
    return *address;
}
template <typename T>
T __ldcs(const T* address) {
    return *address;
}
template <typename T>
T __ldcg(const T* address) {
    return *address;
}
template <typename T>
void __stcs(T* address, std::type_identity_t<T> value) {
    *address = value;
}
template <typename T>
void __stcg(T* address, std::type_identity_t<T> value) {
    *address = value;
}

inline int __popc(unsigned x) {
    return std::popcount(x);
}
inline int __popcll(unsigned long long x) {
    return std::popcount(x);
}
inline int __clz(int x) {
    return std::countl_zero(unsigned(x));
}
inline int __clzll(long long x) {
    return std::countl_zero((unsigned long long)(x));
}
inline int __ffs(int x) {
    return __builtin_ffs(x);
}
inline int __ffsll(long long x) {
    return __builtin_ffsll(x);
}
inline unsigned __brev(unsigned x) {
    unsigned reversed = 0;
    for (int i = 0; i < 32; ++i, x >>= 1) {
        reversed = reversed << 1 | (x & 1);
    }
    return reversed;
}
inline unsigned __umulhi(unsigned a, unsigned b) {
    return unsigned(std::uint64_t(a) * b >> 32);
}

inline unsigned __float_as_uint(float x) {
    return std::bit_cast<unsigned>(x);
}
inline float __uint_as_float(unsigned x) {
    return std::bit_cast<float>(x);
}
inline int __float_as_int(float x) {
    return std::bit_cast<int>(x);
}
inline float __int_as_float(int x) {
    return std::bit_cast<float>(x);
}
inline long long __double_as_longlong(double x) {
    return std::bit_cast<long long>(x);
}
inline double __longlong_as_double(long long x) {
    return std::bit_cast<double>(x);
}

inline float __fadd_rn(float a, float b) {
    return qbnorm_host::rounded(qbnorm_host::rounded(a) + b);
}
inline float __fsub_rn(float a, float b) {
    return qbnorm_host::rounded(qbnorm_host::rounded(a) - b);
}
inline float __fmul_rn(float a, float b) {
    return qbnorm_host::rounded(a * b);
}
inline float __fdiv_rn(float a, float b) {
    return a / b;
}
inline float __fsqrt_rn(float a) {
    return sqrtf(a);
}
inline float __fmaf_rn(float a, float b, float c) {
    return fmaf(a, b, c);
}
inline double __dadd_rn(double a, double b) {
    return qbnorm_host::rounded(qbnorm_host::rounded(a) + b);
}
inline double __dsub_rn(double a, double b) {
    return qbnorm_host::rounded(qbnorm_host::rounded(a) - b);
}
inline double __dmul_rn(double a, double b) {
    return qbnorm_host::rounded(a * b);
}
inline double __fma_rn(double a, double b, double c) {
    return fma(a, b, c);
}
// As exact as the host's functions: the device's are less so.
inline float __expf(float x) {
    return expf(x);
}
inline float __logf(float x) {
    return logf(x);
}
inline float rsqrtf(float x) {
    return 1 / sqrtf(x);
}

// The arguments convert to R, CUDA's choice of the common type.
#define QBNORM_HOST_MIN_MAX(R, A, B) \
    constexpr R min(A a, B b) {      \
        return std::min<R>(a, b);    \
    }                                \
    constexpr R max(A a, B b) {      \
        return std::max<R>(a, b);    \
    }
QBNORM_HOST_MIN_MAX(int, int, int)
QBNORM_HOST_MIN_MAX(unsigned, unsigned, unsigned)
QBNORM_HOST_MIN_MAX(unsigned, int, unsigned)
QBNORM_HOST_MIN_MAX(unsigned, unsigned, int)
QBNORM_HOST_MIN_MAX(long, long, long)
QBNORM_HOST_MIN_MAX(unsigned long, unsigned long, unsigned long)
QBNORM_HOST_MIN_MAX(unsigned long, long, unsigned long)
QBNORM_HOST_MIN_MAX(unsigned long, unsigned long, long)
QBNORM_HOST_MIN_MAX(long long, long long, long long)
QBNORM_HOST_MIN_MAX(unsigned long long, unsigned long long, unsigned long long)
QBNORM_HOST_MIN_MAX(unsigned long long, long long, unsigned long long)
QBNORM_HOST_MIN_MAX(unsigned long long, unsigned long long, long long)
#undef QBNORM_HOST_MIN_MAX

// Of a number and a NaN, the number: as CUDA's.
#define QBNORM_HOST_FLOAT_MIN_MAX(R, A, B) \
    inline R min(A a, B b) {               \
        return std::fmin(a, b);            \
    }                                      \
    inline R max(A a, B b) {               \
        return std::fmax(a, b);            \
    }
QBNORM_HOST_FLOAT_MIN_MAX(float, float, float)
QBNORM_HOST_FLOAT_MIN_MAX(double, double, double)
QBNORM_HOST_FLOAT_MIN_MAX(double, float, double)
QBNORM_HOST_FLOAT_MIN_MAX(double, double, float)
#undef QBNORM_HOST_FLOAT_MIN_MAX
