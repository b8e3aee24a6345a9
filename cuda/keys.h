#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "faiss_qbnorm/core/types.h"

/// Scores and items as integers that compare as the ranking does.

namespace faiss_qbnorm::cuda {

/// Ascends with the score; 0 is below every score.
__device__ inline std::uint32_t score_key(float score) {
    const std::uint32_t bits = __float_as_uint(score + 0.0F);  // -0 ties with 0
    return bits & 0x80000000U ? ~bits : bits | 0x80000000U;
}

__device__ inline float key_score(std::uint32_t key) {
    return __uint_as_float(key & 0x80000000U ? key & 0x7fffffffU : ~key);
}

/// Ascends with the score and, among ties, descends with the item: the largest
/// key ranks first. 0 is no item.
__device__ inline std::uint64_t item_key(float score, std::uint32_t item) {
    return std::uint64_t{score_key(score)} << 32 | ~item;
}

__device__ inline std::uint32_t key_item(std::uint64_t key) {
    return ~static_cast<std::uint32_t>(key);
}

__device__ inline float key_score(std::uint64_t key) {
    return key_score(static_cast<std::uint32_t>(key >> 32));
}

}  // namespace faiss_qbnorm::cuda
