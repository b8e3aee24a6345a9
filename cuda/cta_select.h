#pragma once

#include "cuda/warp.h"

/// What a block of threads does together. All its threads must call.

namespace faiss_qbnorm::cuda {

template <int Threads>
__device__ int cta_sum(int value) {
    constexpr int warps = Threads / warp_size;
    value = warp_sum(value);
    if (warps == 1) return value;
    __shared__ int sums[warps];
    if (lane_id() == 0) sums[warp_id()] = value;
    __syncthreads();
    int total = 0;
    for (int i = 0; i < warps; i++) total += sums[i];
    __syncthreads();  // before the next call writes
    return total;
}

template <int Threads>
__device__ std::uint64_t cta_max(std::uint64_t value) {
    constexpr int warps = Threads / warp_size;
    value = warp_max(value);
    if (warps == 1) return value;
    __shared__ std::uint64_t largest[warps];
    if (lane_id() == 0) largest[warp_id()] = value;
    __syncthreads();
    for (int i = 0; i < warps; i++) {
        value = value < largest[i] ? largest[i] : value;
    }
    __syncthreads();
    return value;
}

/// A pivot that at least `least` of the block's keys reach, and at most `most`
/// where ties allow. `count_from(pivot)` counts those of the calling thread; at
/// least `least` keys reach `low`, and fewer reach `high`.
template <int Threads, class Key, class CountFrom>
__device__ Key cta_pivot(Key low, Key high, int least, int most,
                         CountFrom count_from) {
    while (high - low > 1) {
        const Key middle = low + (high - low) / 2;
        const int count = cta_sum<Threads>(count_from(middle));
        if (count >= least && count <= most) return middle;
        if (count > most) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/// Sorts `size` (a power of two) keys in shared memory, the largest first.
template <int Threads>
__device__ void cta_sort_descending(std::uint64_t* keys, int size) {
    for (int run = 2; run <= size; run *= 2) {
        for (int step = run / 2; step > 0; step /= 2) {
            __syncthreads();
            for (int i = static_cast<int>(threadIdx.x); i < size / 2;
                 i += Threads) {
                const int first = i / step * 2 * step + i % step;
                const bool descending = (first & run) == 0;
                const std::uint64_t a = keys[first];
                const std::uint64_t b = keys[first + step];
                if ((a < b) == descending) {
                    keys[first] = b;
                    keys[first + step] = a;
                }
            }
        }
    }
    __syncthreads();
}

}  // namespace faiss_qbnorm::cuda
