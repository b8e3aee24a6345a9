#pragma once

#include <cmath>
#include <limits>

namespace faiss_qbnorm {

/// Every item whose normalised score is `least` or more has at least this raw
/// score, whatever was rounded on the way.
inline float raw_bound(float least, float least_offset) {
    if (!std::isfinite(least)) return least;
    const double slack = (std::fabs(least) + std::fabs(least_offset)) * 0x1p-22;
    const double raw = double{least} + least_offset - slack;
    constexpr double largest = std::numeric_limits<float>::max();
    return static_cast<float>(
        std::fabs(raw) > largest ? raw * std::numeric_limits<double>::infinity()
                                 : raw);
}

}  // namespace faiss_qbnorm
