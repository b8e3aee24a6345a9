#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/keys.h"

/// What a warp does together. All 32 lanes must call.

namespace faiss_qbnorm::cuda {

constexpr int warp_size = 32;
constexpr unsigned all_lanes = 0xffffffffU;

__device__ inline int lane_id() {
    return static_cast<int>(threadIdx.x) % warp_size;
}

__device__ inline int warp_id() {
    return static_cast<int>(threadIdx.x) / warp_size;
}

template <class T>
__device__ T warp_sum(T value) {
    for (int step = warp_size / 2; step > 0; step /= 2) {
        value += __shfl_xor_sync(all_lanes, value, step);
    }
    return value;
}

__device__ inline int warp_sum(int value) {
    return __reduce_add_sync(all_lanes, value);
}

__device__ inline float warp_max(float value) {
    return key_score(__reduce_max_sync(all_lanes, score_key(value)));
}

__device__ inline std::uint64_t warp_max(std::uint64_t value) {
    for (int step = warp_size / 2; step > 0; step /= 2) {
        const std::uint64_t other = __shfl_xor_sync(
            all_lanes, static_cast<unsigned long long>(value), step);
        value = value < other ? other : value;
    }
    return value;
}

}  // namespace faiss_qbnorm::cuda
