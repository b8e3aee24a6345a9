// CUDA's half precision for the host.
#pragma once

#include <bit>
#include <cstdint>

#include "cuda_runtime.h"

namespace qbnorm_host {

/// Rounds to the nearest, ties to even. Every NaN becomes 0x7fff, as in CUDA.
inline unsigned short half_bits(float value) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = bits >> 16 & 0x8000;
    const std::uint32_t magnitude = bits & 0x7fffffff;
    std::uint32_t rounded;
    if (magnitude > 0x7f800000) {
        return 0x7fff;
    } else if (magnitude >= 0x47800000) {  // 2^16 and more, infinity
        rounded = 0x7c00;
    } else if (magnitude >= 0x38800000) {  // 2^-14: normal, may round up to inf
        const std::uint32_t odd = magnitude >> 13 & 1;
        rounded = (magnitude - 0x38000000 + 0xfff + odd) >> 13;
    } else {  // this sum rounds where a subnormal's last bit is
        rounded = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) +
                                               0.5f) -
                  0x3f000000;
    }
    return static_cast<unsigned short>(sign | rounded);
}

inline float half_value(unsigned short bits) {
    const std::uint32_t sign = std::uint32_t(bits & 0x8000) << 16;
    const std::uint32_t magnitude = bits & 0x7fff;
    std::uint32_t value;
    if (magnitude >= 0x7c00) {
        value = magnitude << 13 | 0x7f800000;
    } else if (magnitude >= 0x400) {
        value = (magnitude << 13) + 0x38000000;
    } else {  // subnormal: exact as a product
        value = std::bit_cast<std::uint32_t>(float(magnitude) * 0x1p-24f);
    }
    return std::bit_cast<float>(sign | value);
}

}  // namespace qbnorm_host

/// A half. Converts as CUDA's, so that the host also takes what nvcc takes.
struct alignas(2) __half {
    unsigned short __x;
    __half() = default;
    __half(float value) : __x(qbnorm_host::half_bits(value)) {}
    operator float() const { return qbnorm_host::half_value(__x); }
};
struct alignas(4) __half2 {
    __half x, y;
};
using half = __half;
using half2 = __half2;

inline __half __float2half_rn(float value) {
    return {value};
}
inline __half __float2half(float value) {
    return {value};
}
inline float __half2float(__half value) {
    return value;
}
inline float2 __half22float2(__half2 v) {
    return {float(v.x), float(v.y)};
}
inline __half2 __floats2half2_rn(float x, float y) {
    return {x, y};
}
inline __half2 __float22half2_rn(float2 v) {
    return {v.x, v.y};
}
inline __half2 __halves2half2(__half x, __half y) {
    return {x, y};
}
inline float __low2float(__half2 v) {
    return v.x;
}
inline float __high2float(__half2 v) {
    return v.y;
}
inline unsigned short __half_as_ushort(__half value) {
    return value.__x;
}
inline __half __ushort_as_half(unsigned short bits) {
    __half value;
    value.__x = bits;
    return value;
}
