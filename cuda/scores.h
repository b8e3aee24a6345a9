#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstring>

/// The elements of operands and tiles: half or float.

namespace faiss_qbnorm::cuda {

constexpr int vector_size = 8;  ///< scores that a thread takes at once

__device__ inline void load_vector(const float* from, float (&to)[8]) {
    float4 low = *reinterpret_cast<const float4*>(from);
    float4 high = *reinterpret_cast<const float4*>(from + 4);
    memcpy(to, &low, sizeof(low));
    memcpy(to + 4, &high, sizeof(high));
}

__device__ inline void load_vector(const __half* from, float (&to)[8]) {
    const uint4 raw = *reinterpret_cast<const uint4*>(from);
    __half2 pairs[4];
    memcpy(pairs, &raw, sizeof(raw));
    for (int i = 0; i < 4; i++) {
        const float2 pair = __half22float2(pairs[i]);
        to[2 * i] = pair.x;
        to[2 * i + 1] = pair.y;
    }
}

__device__ inline float to_float(float x) {
    return x;
}
__device__ inline float to_float(__half x) {
    return __half2float(x);
}

template <class Element>
__device__ Element to_element(float x);
template <>
__device__ inline float to_element<float>(float x) {
    return x;
}
template <>
__device__ inline __half to_element<__half>(float x) {
    return __float2half_rn(x);
}

}  // namespace faiss_qbnorm::cuda
