#pragma once

#include <bit>
#include <cstdint>

namespace faiss_qbnorm {

/// IEEE half to single, without a branch. A half's exponent is 112 short of a
/// single's; the product restores it, subnormals included.
inline float from_half(std::uint16_t half) {
    const std::uint32_t magnitude = (half & 0x7fffU) << 13;
    const float scaled = std::bit_cast<float>(magnitude) * 0x1p112F;
    const std::uint32_t special =
        magnitude >= 0x0f800000U ? 0x7f800000U : 0U;  // Inf, NaN
    const std::uint32_t sign = (half & 0x8000U) << 16;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(scaled) | special |
                                sign);
}

}  // namespace faiss_qbnorm
