#pragma once

#include <cstdint>

#include "cuda/scores.h"
#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm::cuda {

/// An item that may belong to a query's best, with its score in the tile.
struct alignas(8) Slot {
    float score;
    std::uint32_t row;
};

/// The queries' shortlists: per query a threshold and room for `capacity`
/// slots. `counts` goes on counting where the room ends.
struct ShortlistView {
    float* thresholds;
    unsigned* counts;
    Slot* slots;
    unsigned capacity;

    /// The lists from query `query` on.
    ShortlistView from(idx_t query) const {
        return {thresholds + query, counts + query, slots + query * capacity,
                capacity};
    }

    __device__ void append(int query, float score, idx_t row) const {
        const unsigned place = atomicAdd(&counts[query], 1U);
        if (place < capacity) {
            slots[std::int64_t{query} * capacity + place] = {
                score, static_cast<std::uint32_t>(row)};
        }
    }
};

/// Appends those of a thread's scores that reach their thresholds. NaN does.
__device__ inline void keep_best(const ShortlistView& list,
                                 const float (&scores)[vector_size],
                                 const float (&thresholds)[vector_size],
                                 int column, int queries, idx_t row) {
    bool below = true;
#pragma unroll
    for (int i = 0; i < vector_size; i++) {
        below = below & (scores[i] < thresholds[i]);
    }
    if (below) return;
    // Rare, so it may be slow: one at a time leaves registers to the rest.
    unsigned reached = 0;
#pragma unroll
    for (int i = 0; i < vector_size; i++) {
        reached |= scores[i] < thresholds[i] ? 0U : 1U << i;
    }
    while (reached != 0) {
        const int i = __ffs(static_cast<int>(reached)) - 1;
        reached &= reached - 1;
        float score = scores[0];
#pragma unroll
        for (int j = 1; j < vector_size; j++)
            score = i == j ? scores[j] : score;
        if (column + i < queries) list.append(column + i, score, row);
    }
}

constexpr int filter_threads = 256;
constexpr int filter_rows = 16;  ///< that a thread walks

/// Rows whose scores a thread loads before their use.
template <class Score>
constexpr int rows_ahead = 8 / sizeof(Score);

template <class Score>
struct FilterArguments {
    const Score* scores;  ///< rows x columns
    idx_t first;          ///< tile row r is gallery row first + r * stride
    idx_t rows;
    idx_t stride;
    int columns;          ///< of the tile, a multiple of vector_size
    int queries;          ///< columns that are queries, from column 0
    const float* weight;  ///< of gallery rows
    const float* bias;
    const float* query_bias;  ///< of columns
    float scale;              ///< of the queries
    const float* offsets;     ///< of gallery rows; nullptr for raw scores only
    ShortlistView raw;
    ShortlistView normalised;
    int groups;  ///< threads side by side: a power of two up to 32
};

/// A tile of scores -> the shortlists. A thread keeps eight columns' thresholds
/// and walks down the rows.
template <class Score, bool Normalised>
__global__ void __launch_bounds__(filter_threads, 2)
    kernel_filter(FilterArguments<Score> a) {
    const int thread = static_cast<int>(threadIdx.x);
    const int column =
        (static_cast<int>(blockIdx.x) * a.groups + thread % a.groups) *
        vector_size;
    if (column >= a.columns) return;
    float query_bias[vector_size];
    float raw[vector_size];
    float normalised[vector_size];
    load_vector(a.query_bias + column, query_bias);
    load_vector(a.raw.thresholds + column, raw);
    if (Normalised) load_vector(a.normalised.thresholds + column, normalised);

    constexpr int ahead = rows_ahead<Score>;
    const int step = filter_threads / a.groups;
    const auto rows = static_cast<int>(a.rows);
    const int begin = static_cast<int>(blockIdx.y) * step * filter_rows;
    const int end = min(begin + step * filter_rows, rows);
    int r = begin + thread / a.groups;
    idx_t row = a.first + r * a.stride;
    const Score* next = a.scores + idx_t{r} * a.columns + column;
    while (r < end) {
        // All loads first: appending could otherwise change what comes next.
        Packed<Score> packed[ahead];
        float weight[ahead];
        float bias[ahead];
        float offset[ahead];
#pragma unroll
        for (int i = 0; i < ahead; i++) {
            if (r + i * step >= end) break;
            packed[i].load(next);
            weight[i] = a.weight[row + i * step * a.stride] * a.scale;
            bias[i] = a.bias[row + i * step * a.stride];
            if (Normalised) offset[i] = a.offsets[row + i * step * a.stride];
            next += idx_t{step} * a.columns;
        }
#pragma unroll
        for (int i = 0; i < ahead; i++) {
            if (r >= end) break;
            float scores[vector_size];
            unpack(packed[i], scores);
#pragma unroll
            for (int j = 0; j < vector_size; j++) {
                scores[j] = fmaf(scores[j], weight[i], query_bias[j]) + bias[i];
            }
            keep_best(a.raw, scores, raw, column, a.queries, row);
            if (Normalised) {
#pragma unroll
                for (int j = 0; j < vector_size; j++) scores[j] -= offset[i];
                keep_best(a.normalised, scores, normalised, column, a.queries,
                          row);
            }
            r += step;
            row += step * a.stride;
        }
    }
}

}  // namespace faiss_qbnorm::cuda
