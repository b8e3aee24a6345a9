#pragma once

#include "cuda/cta_select.h"
#include "cuda/kernel_filter.h"
#include "cuda/warp_exact_score.h"

namespace faiss_qbnorm::cuda {

constexpr int shortlist_threads = 256;
constexpr unsigned overflowed = ~0U;  ///< a count of survivors: unknown

struct RaiseArguments {
    ShortlistView list;
    int length;           ///< how many items a query wants
    const float* errors;  ///< |tile score - exact score| at most, of each query
    unsigned* survivors;  ///< counted here where not nullptr; else emptied
};

/// A block raises one query's threshold: the items wanted score at least the
/// length-th largest seen (or a little less), less the error of both. Then it
/// counts who survives or, while samples are taken, empties the list.
__global__ void __launch_bounds__(shortlist_threads)
    kernel_raise(RaiseArguments a) {
    const auto query = static_cast<int>(blockIdx.x);
    const unsigned count = a.list.counts[query];
    const auto held = static_cast<int>(min(count, a.list.capacity));
    const Slot* slots = a.list.slots + std::int64_t{query} * a.list.capacity;
    const auto thread = static_cast<int>(threadIdx.x);
    float threshold = a.list.thresholds[query];
    if (held >= a.length) {
        std::uint32_t most = 0;
        for (int i = thread; i < held; i += shortlist_threads) {
            most = max(most, score_key(slots[i].score));
        }
        const auto high =
            static_cast<std::uint32_t>(cta_max<shortlist_threads>(most));
        const auto count_from = [&](std::uint32_t pivot) {
            int reached = 0;
            for (int i = thread; i < held; i += shortlist_threads) {
                reached += score_key(slots[i].score) >= pivot;
            }
            return reached;
        };
        // A few too many cost less than the last bits of the pivot.
        const std::uint32_t nth = cta_pivot<shortlist_threads>(
            0U, high + 1, a.length, a.length + a.length / 8 + 1, count_from);
        threshold = fmaxf(threshold, key_score(nth) - 2 * a.errors[query]);
    }
    if (a.survivors) {
        int alive = 0;
        for (int i = thread; i < held; i += shortlist_threads) {
            alive += !(slots[i].score < threshold);
        }
        alive = cta_sum<shortlist_threads>(alive);
        if (thread == 0) {
            a.survivors[query] = count > a.list.capacity ? overflowed : alive;
        }
    }
    __syncthreads();  // everybody has read what is written now
    if (thread == 0) {
        a.list.thresholds[query] = threshold;
        if (!a.survivors) a.list.counts[query] = 0;
    }
}

/// A survivor and the query it survived for.
struct Pair {
    std::uint32_t query;
    std::uint32_t row;
};

struct PackArguments {
    ShortlistView list;
    const unsigned* starts;  ///< of each query's pairs, and the end
    Pair* pairs;
};

/// A block puts one query's survivors in their place among all.
__global__ void __launch_bounds__(shortlist_threads)
    kernel_pack(PackArguments a) {
    const unsigned query = blockIdx.x;
    const unsigned begin = a.starts[query];
    if (a.starts[query + 1] == begin) return;  // none, or overflowed
    __shared__ unsigned placed;
    if (threadIdx.x == 0) placed = 0;
    __syncthreads();
    const unsigned held = min(a.list.counts[query], a.list.capacity);
    const Slot* slots = a.list.slots + std::int64_t{query} * a.list.capacity;
    const float threshold = a.list.thresholds[query];
    for (unsigned i = threadIdx.x; i < held; i += shortlist_threads) {
        if (slots[i].score < threshold) continue;
        a.pairs[begin + atomicAdd(&placed, 1U)] = {query, slots[i].row};
    }
}

/// What exact scores are made of.
struct ExactArguments {
    Metric metric;
    int d;
    const float* queries;  ///< original rows
    const float* gallery;
    const float* offsets;  ///< of gallery rows, taken off; or nullptr
};

constexpr int rescore_threads = 256;
constexpr int rescore_pairs = rescore_threads / exact_lanes;  ///< of a block

/// Eight lanes score one pair exactly.
__global__ void __launch_bounds__(rescore_threads)
    kernel_rescore(ExactArguments a, const Pair* pairs, unsigned count,
                   float* scores, std::uint32_t* rows) {
    const unsigned i = blockIdx.x * rescore_pairs + threadIdx.x / exact_lanes;
    const Pair pair = pairs[i < count ? i : count - 1];  // all lanes must call
    const float score =
        warp_exact_score(a.metric, a.queries + idx_t{pair.query} * a.d,
                         a.gallery + idx_t{pair.row} * a.d, a.d);
    if (i >= count || threadIdx.x % exact_lanes > 0) return;
    scores[i] = a.offsets ? score - a.offsets[pair.row] : score;
    rows[i] = pair.row;
}

/// Eight lanes score one of `rows` gallery rows from `first` on, for the query
/// queries[blockIdx.y] of all: scores[y * rows + r].
__global__ void __launch_bounds__(rescore_threads)
    kernel_exact(ExactArguments a, const std::uint32_t* queries, idx_t first,
                 idx_t rows, float* scores) {
    const idx_t r =
        idx_t{blockIdx.x} * rescore_pairs + threadIdx.x / exact_lanes;
    const idx_t row = first + (r < rows ? r : rows - 1);
    const float score =
        warp_exact_score(a.metric, a.queries + idx_t{queries[blockIdx.y]} * a.d,
                         a.gallery + row * a.d, a.d);
    if (r >= rows || threadIdx.x % exact_lanes > 0) return;
    scores[blockIdx.y * rows + r] = a.offsets ? score - a.offsets[row] : score;
}

}  // namespace faiss_qbnorm::cuda
