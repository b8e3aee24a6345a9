#pragma once

#include <cmath>

#include "cuda/cta_select.h"
#include "cuda/kernel_filter.h"
#include "cuda/warp_exact_score.h"

namespace faiss_qbnorm::cuda {

constexpr int shortlist_threads = 256;
/// A count beyond any capacity, from which appending goes on counting.
constexpr unsigned overflowed = 0x80000000U;

struct RaiseArguments {
    ShortlistView list;
    int length;           ///< how many items a query wants
    const float* errors;  ///< |tile score - exact score| at most, of each query
    bool is_sample;       ///< whose items come again: they are forgotten
};

/// A block raises one query's threshold: the items wanted score at least the
/// length-th largest seen (or a little less), less the error of both. What is
/// below goes. A list that was too short asks for nothing more.
__global__ void __launch_bounds__(shortlist_threads)
    kernel_raise(RaiseArguments a) {
    const auto query = static_cast<int>(blockIdx.x);
    const unsigned count = a.list.counts[query];
    const unsigned held = min(count, a.list.capacity);
    Slot* slots = a.list.slots + std::int64_t{query} * a.list.capacity;
    const unsigned thread = threadIdx.x;
    float threshold = a.list.thresholds[query];
    if (held >= static_cast<unsigned>(a.length)) {
        std::uint32_t most = 0;
        for (unsigned i = thread; i < held; i += shortlist_threads) {
            most = max(most, score_key(slots[i].score));
        }
        const auto high =
            static_cast<std::uint32_t>(cta_max<shortlist_threads>(most));
        const auto count_from = [&](std::uint32_t pivot) {
            int reached = 0;
            for (unsigned i = thread; i < held; i += shortlist_threads) {
                reached += score_key(slots[i].score) >= pivot;
            }
            return reached;
        };
        // All that is held reaches the threshold (or is NaN, where the error is
        // infinite). A few too many cost less than the last bits of the pivot.
        const std::uint32_t nth = cta_pivot<shortlist_threads>(
            score_key(threshold), high + 1, a.length,
            a.length + a.length / 8 + 1, count_from);
        threshold = fmaxf(threshold, key_score(nth) - 2 * a.errors[query]);
    }
    const bool too_short = count > a.list.capacity && !a.is_sample;
    __shared__ unsigned kept;
    if (thread == 0) kept = too_short ? overflowed : 0;
    const bool moves = !too_short && !a.is_sample;
    for (unsigned first = 0; moves && first < held;
         first += shortlist_threads) {
        const unsigned i = first + thread;
        const Slot slot = slots[i < held ? i : 0];
        __syncthreads();  // read before what is kept moves to the front
        if (i < held && !(slot.score < threshold)) {
            slots[atomicAdd(&kept, 1U)] = slot;
        }
        __syncthreads();
    }
    __syncthreads();
    if (thread > 0) return;
    a.list.thresholds[query] = too_short ? HUGE_VALF : threshold;
    a.list.counts[query] = kept;
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

/// A block puts one query's list in its place among all.
__global__ void __launch_bounds__(shortlist_threads)
    kernel_pack(PackArguments a) {
    const unsigned query = blockIdx.x;
    const unsigned begin = a.starts[query];
    const unsigned end = a.starts[query + 1];  // equal where it overflowed
    const Slot* slots = a.list.slots + std::int64_t{query} * a.list.capacity;
    for (unsigned i = begin + threadIdx.x; i < end; i += shortlist_threads) {
        a.pairs[i] = {query, slots[i - begin].row};
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
