#pragma once

#include <cmath>
#include <cstdint>
#include <random>

#include "faiss_qbnorm/io/vector_file.h"

/// Rows whose products round badly.

namespace hard {

using faiss_qbnorm::idx_t;
using faiss_qbnorm::Matrix;

constexpr int kinds = 10;

/// Element j of a row of a kind; `normal` is a random number for it.
inline float element(int kind, int j, float normal) {
    const float sign = normal < 0 ? -1.0F : 1.0F;
    switch (kind) {
        case 0:
            return normal;
        case 1:  // sums grow
            return 1 + std::fabs(normal);
        case 2:  // sums cancel
            return (j % 2 == 0 ? 1.0F : -1.0F) * (1 + 1e-3F * normal);
        case 3:  // one element hides the rest
            return j == 5 ? 1e6F : normal;
        case 4:  // float's denormals
            return 1e-39F * normal;
        case 5:  // products are denormals
            return 1e-19F * normal;
        case 6:  // bfloat16 loses the most, downwards
            return 1 + 0x1p-8F - 0x1p-20F;
        case 7:  // and upwards
            return sign * (1 + 0x1p-8F + 0x1p-20F);
        case 8:  // each of its squares rounds a sum beside 1 up by 2^-23
            return j == 0 ? 1 : 0x1p-12F * (1 + 0x1p-7F);
        default:
            return 0;
    }
}

/// Every kind in turn.
inline Matrix rows(idx_t rows, int d, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    Matrix matrix{std::vector<float>(rows * d), rows, d};
    for (idx_t i = 0; i < rows; i++) {
        for (int j = 0; j < d; j++) {
            matrix.data[i * d + j] =
                element(static_cast<int>(i % kinds), j, normal(random));
        }
    }
    return matrix;
}

}  // namespace hard
