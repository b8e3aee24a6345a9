// CUDA's half precision for the host.
#pragma once

#include <bit>
#include <cstdint>

#include "cuda_runtime.h"

namespace qbnorm_host {

/// Rounds to the nearest, ties to even. Every NaN becomes 0x7fff, as in CUDA.
inline unsigned short half_bits(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = bits >> 16 & 0x8000;
    const std::uint32_t magnitude = bits & 0x7fffffff;
    std::uint32_t rounded = 0x7c00;  // infinity, from 2^16 on
    if (magnitude > 0x7f800000) return 0x7fff;
    if (magnitude < 0x38800000) {  // subnormal: this sum rounds at its last bit
        const float sum = std::bit_cast<float>(magnitude) + 0.5f;
        rounded = std::bit_cast<std::uint32_t>(sum) - 0x3f000000;
    } else if (magnitude < 0x47800000) {  // may round up to infinity
        const std::uint32_t odd = magnitude >> 13 & 1;
        rounded = (magnitude - 0x38000000 + 0xfff + odd) >> 13;
    }
    return static_cast<unsigned short>(sign | rounded);
}

inline float half_value(unsigned short bits) {
    const std::uint32_t sign = std::uint32_t(bits & 0x8000) << 16;
    std::uint32_t magnitude = std::uint32_t(bits & 0x7fff) << 13;
    if (magnitude >= 0x7c00 << 13) {
        magnitude |= 0x7f800000;
    } else {  // exact, for subnormals too
        const float scaled = std::bit_cast<float>(magnitude) * 0x1p112f;
        magnitude = std::bit_cast<std::uint32_t>(scaled);
    }
    return std::bit_cast<float>(sign | magnitude);
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

inline __half __float2half_rn(float value) {
    return {value};
}
inline float __half2float(__half value) {
    return value;
}
inline float2 __half22float2(__half2 v) {
    return {float(v.x), float(v.y)};
}
