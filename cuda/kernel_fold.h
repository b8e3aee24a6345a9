#pragma once

#include "cuda/kernel_filter.h"
#include "cuda/warp.h"

namespace faiss_qbnorm::cuda {

constexpr int fold_warps = 8;
constexpr int fold_threads = fold_warps * warp_size;
constexpr int fold_rows = 8;  ///< gallery items of a block, in registers
constexpr int fold_columns = warp_size * vector_size;  ///< of a warp's step

template <class Score>
struct FoldArguments {
    const Score* scores;  ///< rows x columns
    idx_t first;          ///< gallery row of tile row 0
    idx_t rows;
    int columns;  ///< of the tile, a multiple of fold_columns
    int queries;  ///< columns that are bank queries, from column 0
    const float* weight;
    const float* bias;
    const float* query_bias;
    float scale;
    float rate;   ///< beta log2(e)
    bool is_new;  ///< the items' first tile
    /// Of each gallery row: the largest score s_max so far, and the sum of
    /// exp(beta (s - s_max)).
    float* largest;
    double* sums;
    ShortlistView list;
};

/// 2^x, relative error below 2^-22; 0 for -infinity.
__device__ inline float fast_exp2(float x) {
#ifdef __CUDA_ARCH__
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#else
    return exp2f(x);
#endif
}

/// A tile of scores -> each gallery item's sum of exponentials, shifted by its
/// largest score, so that nothing over- or underflows; and with Filter each
/// bank query's shortlist, while the tile is in the registers. A warp takes
/// fold_rows items and 256 columns at a time.
template <class Score, bool Filter>
__global__ void __launch_bounds__(fold_threads, 2)
    kernel_fold(FoldArguments<Score> a) {
    const idx_t begin = idx_t{blockIdx.x} * fold_rows;
    float largest[fold_rows];
    float sum[fold_rows];
#pragma unroll
    for (int r = 0; r < fold_rows; r++) {
        largest[r] = -HUGE_VALF;
        sum[r] = 0;
    }
    for (int chunk = warp_id() * fold_columns; chunk < a.queries;
         chunk += fold_warps * fold_columns) {
        const int column = chunk + lane_id() * vector_size;
        float query_bias[vector_size];
        float thresholds[vector_size];
        load_vector(a.query_bias + column, query_bias);
        if (Filter) load_vector(a.list.thresholds + column, thresholds);
        // All loads first: appending could otherwise change what comes next.
        Packed<Score> packed[fold_rows];
        float weight[fold_rows];
        float bias[fold_rows];
#pragma unroll
        for (int r = 0; r < fold_rows; r++) {
            const idx_t row = min(begin + r, a.rows - 1);
            packed[r].load(a.scores + row * a.columns + column);
            weight[r] = a.weight[a.first + row] * a.scale;
            bias[r] = a.bias[a.first + row];
        }
#pragma unroll
        for (int r = 0; r < fold_rows; r++) {
            float s[vector_size];
            unpack(packed[r], s);
            float most = -HUGE_VALF;
#pragma unroll
            for (int i = 0; i < vector_size; i++) {
                s[i] = fmaf(s[i], weight[r], query_bias[i]) + bias[r];
                most = fmaxf(most, s[i]);
            }
            most = warp_max(most);
            if (most > largest[r]) {  // the same for all lanes
                sum[r] *= fast_exp2((largest[r] - most) * a.rate);
                largest[r] = most;
            }
#pragma unroll
            for (int i = 0; i < vector_size; i++) {
                sum[r] += fast_exp2((s[i] - largest[r]) * a.rate);
            }
            if (Filter && begin + r < a.rows) {
                keep_best(a.list, s, thresholds, column, a.queries,
                          a.first + begin + r);
            }
        }
    }

    __shared__ float warp_largest[fold_warps][fold_rows];
    __shared__ float warp_sums[fold_warps][fold_rows];
#pragma unroll
    for (int r = 0; r < fold_rows; r++) {
        const float total = warp_sum(sum[r]);
        if (lane_id() > 0) continue;
        warp_largest[warp_id()][r] = largest[r];
        warp_sums[warp_id()][r] = total;
    }
    __syncthreads();
    const auto r = static_cast<int>(threadIdx.x);
    if (r >= fold_rows || begin + r >= a.rows) return;
    const idx_t row = a.first + begin + r;
    const float before = a.is_new ? -HUGE_VALF : a.largest[row];
    float most = before;
    for (int w = 0; w < fold_warps; w++) most = fmaxf(most, warp_largest[w][r]);
    double total =
        a.is_new ? 0 : a.sums[row] * fast_exp2((before - most) * a.rate);
    for (int w = 0; w < fold_warps; w++) {
        total +=
            warp_sums[w][r] * fast_exp2((warp_largest[w][r] - most) * a.rate);
    }
    a.largest[row] = most;
    a.sums[row] = total;
}

constexpr int offset_threads = 256;

struct OffsetArguments {
    const float* largest;
    const double* sums;
    const float* norms;  ///< of the gallery rows
    idx_t rows;
    double bank_rows;
    double beta;
    float norm_limit;  ///< above it scores may overflow
    float* offsets;
};

/// Sums -> Inverted Softmax offsets (formula.h's LogMeanExp::is_offset), NaN
/// where scores may have overflowed.
__global__ void __launch_bounds__(offset_threads)
    kernel_offsets(OffsetArguments a) {
    const idx_t row = idx_t{blockIdx.x} * offset_threads + threadIdx.x;
    if (row >= a.rows) return;
    const double offset =
        a.largest[row] + log(a.sums[row] / a.bank_rows) / a.beta;
    a.offsets[row] =
        a.norms[row] <= a.norm_limit ? static_cast<float>(offset) : nanf("");
}

}  // namespace faiss_qbnorm::cuda
