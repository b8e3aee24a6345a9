#pragma once

#include "cuda/kernel_filter.h"
#include "cuda/warp.h"

namespace faiss_qbnorm::cuda {

constexpr int fold_warps = 8;
constexpr int fold_threads = fold_warps * warp_size;
constexpr int fold_rows = vector_size;  ///< gallery items of a block
constexpr int fold_columns = warp_size * vector_size;  ///< of a warp's step

template <class Score>
struct FoldArguments {
    const Score* scores;  ///< columns wide, whole blocks of rows
    idx_t first;  ///< gallery row of tile row 0, a multiple of fold_rows
    idx_t rows;   ///< that are items; the rest are padding
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

/// Sums each of a lane's eight values over the warp: lane 4 r has value r's.
__device__ inline float warp_sums(float (&values)[vector_size]) {
    const int lane = lane_id();
#pragma unroll
    for (int half = vector_size / 2; half > 0; half /= 2) {
        // Lanes keep one half of their values and give the other away.
        const bool upper = (lane & (4 * half)) != 0;
#pragma unroll
        for (int r = 0; r < half; r++) {
            const float given = upper ? values[r] : values[r + half];
            const float kept = upper ? values[r + half] : values[r];
            values[r] = kept + __shfl_xor_sync(all_lanes, given, 4 * half);
        }
    }
    values[0] += __shfl_xor_sync(all_lanes, values[0], 2);
    return values[0] + __shfl_xor_sync(all_lanes, values[0], 1);
}

/// A tile of scores -> each gallery item's sum of exponentials, shifted by its
/// largest score, so that nothing over- or underflows; and with Filter each
/// bank query's shortlist, while the tile is in the registers. A warp takes
/// fold_rows items and 256 columns at a time; its lanes each keep a largest
/// score of their own until the end.
template <class Score, bool L2, bool Filter>
__global__ void __launch_bounds__(fold_threads, 2)
    kernel_fold(FoldArguments<Score> a) {
    const auto begin = static_cast<int>(blockIdx.x) * fold_rows;
    // Below every score, and finite when multiplied by the rate.
    const float lowest = -1.5e38F / fmaxf(1.0F, a.rate);
    float weight[fold_rows];
    float bias[fold_rows];
    load_vector(a.weight + a.first + begin, weight);
    if (L2) load_vector(a.bias + a.first + begin, bias);
    float largest[fold_rows];
    float sum[fold_rows];
#pragma unroll
    for (int r = 0; r < fold_rows; r++) {
        weight[r] *= a.scale;
        largest[r] = lowest;
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
        const Score* from = a.scores + (idx_t{begin} * a.columns + column);
#pragma unroll
        for (int r = 0; r < fold_rows; r++, from += a.columns) {
            packed[r].load(from);
        }
#pragma unroll
        for (int r = 0; r < fold_rows; r++) {
            float s[vector_size];
            unpack(packed[r], s);
            float most = largest[r];
#pragma unroll
            for (int i = 0; i < vector_size; i++) {
                s[i] = fmaf(s[i], weight[r], query_bias[i]);
                if (L2) s[i] += bias[r];
                most = fmaxf(most, s[i]);
            }
            const float shift = -most * a.rate;
            sum[r] *= fast_exp2((largest[r] - most) * a.rate);
            largest[r] = most;
            float part = 0;  // two sums, of independent additions
#pragma unroll
            for (int i = 0; i < vector_size; i += 2) {
                sum[r] += fast_exp2(fmaf(s[i], a.rate, shift));
                part += fast_exp2(fmaf(s[i + 1], a.rate, shift));
            }
            sum[r] += part;
            if (Filter && begin + r < a.rows) {
                keep_best(a.list, s, thresholds, column, a.queries,
                          a.first + begin + r);
            }
        }
    }

    __shared__ float warp_largest[fold_warps][fold_rows];
    __shared__ float warp_total[fold_warps][fold_rows];
#pragma unroll
    for (int r = 0; r < fold_rows; r++) {
        const float most = warp_max(largest[r]);
        sum[r] *= fast_exp2((largest[r] - most) * a.rate);
        if (lane_id() == 0) warp_largest[warp_id()][r] = most;
    }
    const float total_of_lane = warp_sums(sum);
    if (lane_id() % 4 == 0) {
        warp_total[warp_id()][lane_id() / 4] = total_of_lane;
    }
    __syncthreads();
    const auto r = static_cast<int>(threadIdx.x);
    if (r >= fold_rows || begin + r >= a.rows) return;
    const idx_t row = a.first + begin + r;
    const float before = a.is_new ? lowest : a.largest[row];
    float most = before;
    for (int w = 0; w < fold_warps; w++) most = fmaxf(most, warp_largest[w][r]);
    double total =
        a.is_new ? 0 : a.sums[row] * fast_exp2((before - most) * a.rate);
    for (int w = 0; w < fold_warps; w++) {
        total +=
            warp_total[w][r] * fast_exp2((warp_largest[w][r] - most) * a.rate);
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
