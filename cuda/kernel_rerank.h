#pragma once

#include "cuda/cta_select.h"
#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm::cuda {

/// Lists of candidates, one a query, `candidates` long, and where their best k
/// go. A block reranks one list.
struct RerankArguments {
    const float* offsets;  ///< of items begin, begin + 1, ...
    const std::uint64_t* activation;
    idx_t begin;
    idx_t size;
    bool gated;       ///< dynamic: only where the raw top-1 is active
    bool normalised;  ///< by s - offset at all
    float sign;       ///< a score is sign * what the lists hold (L2: -1)
    float empty;      ///< what the lists hold in empty slots
    idx_t candidates;
    const float* scores;
    const idx_t* labels;  ///< -1: an empty slot
    int k;
    float* best_scores;
    idx_t* best_labels;
    /// The least list * candidates + slot whose label is not in the table or
    /// whose score is no number; left alone where all are well.
    unsigned long long* first_bad;
};

/// A candidate's key by raw score; 0 for an empty or a bad one.
__device__ inline std::uint64_t raw_key(const RerankArguments& a, idx_t list,
                                        idx_t slot) {
    const idx_t place = list * a.candidates + slot;
    const idx_t label = a.labels[place];
    if (label == -1) return 0;
    const idx_t item = label - a.begin;
    const float score = a.scores[place] * a.sign;
    if (item < 0 || item >= a.size || !(fabsf(score) <= 3.40282347e38F)) {
        atomicMin(a.first_bad, static_cast<unsigned long long>(place));
        return 0;
    }
    return item_key(score, static_cast<std::uint32_t>(item));
}

/// The key by which a candidate ranks.
__device__ inline std::uint64_t ranked_key(const RerankArguments& a,
                                           std::uint64_t raw) {
    const std::uint32_t item = key_item(raw);
    return item_key(key_score(raw) - a.offsets[item], item);
}

/// Keeps the block's `take` largest keys: in shared memory, in no order.
template <int Threads, int Items>
__device__ void cta_keep_largest(const std::uint64_t (&keys)[Items], int take,
                                 std::uint64_t* kept) {
    __shared__ int placed;
    std::uint64_t most = 0;
#pragma unroll
    for (int i = 0; i < Items; i++) most = keys[i] > most ? keys[i] : most;
    most = cta_max<Threads>(most);
    const auto count_from = [&](std::uint64_t pivot) {
        int reached = 0;
#pragma unroll
        for (int i = 0; i < Items; i++) reached += keys[i] >= pivot;
        return reached;
    };
    const std::uint64_t pivot =
        cta_pivot<Threads>(std::uint64_t{1}, most + 1, take, take, count_from);
    if (threadIdx.x == 0) placed = 0;
    __syncthreads();  // and all keys have been read from `kept`
#pragma unroll
    for (int i = 0; i < Items; i++) {
        if (keys[i] > pivot) kept[atomicAdd(&placed, 1)] = keys[i];
    }
    __syncthreads();
    // One item listed twice gives two equal keys: there may be one too many.
#pragma unroll
    for (int i = 0; i < Items; i++) {
        if (keys[i] != pivot) continue;
        const int place = atomicAdd(&placed, 1);
        if (place < take) kept[place] = keys[i];
    }
    __syncthreads();
}

/// Finds each list's raw top-1, tests its activation bit, takes the offsets off
/// and selects the best k. Lists longer than the block's Threads * Items keys
/// go through it in rounds, which each keep the best k so far.
template <int Threads, int Items>
__global__ void __launch_bounds__(Threads) kernel_rerank(RerankArguments a) {
    constexpr int room = Threads * Items;
    __shared__ std::uint64_t kept[room];
    const idx_t list = blockIdx.x;
    const auto thread = static_cast<int>(threadIdx.x);

    std::uint64_t keys[Items];
    std::uint64_t top1 = 0;
    for (idx_t base = 0; base < a.candidates; base += room) {
#pragma unroll
        for (int i = 0; i < Items; i++) {
            const idx_t slot = base + i * Threads + thread;
            keys[i] = slot < a.candidates ? raw_key(a, list, slot) : 0;
            top1 = keys[i] > top1 ? keys[i] : top1;
        }
    }
    top1 = cta_max<Threads>(top1);
    bool open = a.normalised && top1 != 0;
    if (open && a.gated) {
        const std::uint32_t item = key_item(top1);
        open = (a.activation[item / 64] >> (item % 64)) & 1;
    }

    const bool at_once = a.candidates <= room;
    int held = 0;
    for (idx_t base = 0; base < a.candidates;) {
        int mine = 0;
#pragma unroll
        for (int i = 0; i < Items; i++) {
            const int place = i * Threads + thread;
            const idx_t slot = base + place - held;
            std::uint64_t key = 0;
            if (at_once) {
                key = keys[i];
            } else if (place >= held && slot < a.candidates) {
                key = raw_key(a, list, slot);
            }
            if (open && key != 0) key = ranked_key(a, key);
            if (place < held) key = kept[place];
            keys[i] = key;
            mine += key != 0;
        }
        base += room - held;
        held = min(cta_sum<Threads>(mine), a.k);
        if (held > 0) cta_keep_largest<Threads, Items>(keys, held, kept);
    }

    int size = 1;
    while (size < held) size *= 2;
    for (int i = held + thread; i < size; i += Threads) kept[i] = 0;
    cta_sort_descending<Threads>(kept, size);
    for (int i = thread; i < a.k; i += Threads) {
        const idx_t place = list * a.k + i;
        const bool empty = i >= held;
        a.best_scores[place] =
            empty ? a.empty : key_score(kept[i]) * a.sign + 0.0F;
        a.best_labels[place] = empty ? -1 : a.begin + key_item(kept[i]);
    }
}

}  // namespace faiss_qbnorm::cuda
