#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstring>

/// The elements of operands and tiles: half or float.

namespace faiss_qbnorm::cuda {

constexpr int vector_size = 8;  ///< scores that a thread takes at once

/// Eight scores as they lie in memory: loaded ahead of their use, in registers.
template <class Score>
struct Packed {
    uint4 words[vector_size * sizeof(Score) / sizeof(uint4)];

    __device__ void load(const Score* from) {
        const auto* source = reinterpret_cast<const uint4*>(from);
        for (auto& word : words) word = *source++;
    }
};

__device__ inline void unpack(const Packed<float>& packed,
                              float (&to)[vector_size]) {
    memcpy(to, packed.words, sizeof(to));
}

__device__ inline void unpack(const Packed<__half>& packed,
                              float (&to)[vector_size]) {
    __half2 pairs[vector_size / 2];
    memcpy(pairs, packed.words, sizeof(pairs));
    for (int i = 0; i < vector_size / 2; i++) {
        const float2 pair = __half22float2(pairs[i]);
        to[2 * i] = pair.x;
        to[2 * i + 1] = pair.y;
    }
}

__device__ inline void load_vector(const float* from,
                                   float (&to)[vector_size]) {
    Packed<float> packed;
    packed.load(from);
    unpack(packed, to);
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
