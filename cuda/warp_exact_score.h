#pragma once

#include "cuda/warp.h"
#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm::cuda {

constexpr int exact_lanes = 8;  ///< lanes that make one exact score

/// formula.h's exact_score to the last bit, by eight neighbouring lanes: each
/// sums what is one lane's there. All 32 lanes must call, for four scores.
__device__ inline float warp_exact_score(Metric metric, const float* a,
                                         const float* b, int d) {
    double sum = 0;
    for (int i = lane_id() % exact_lanes; i < d; i += exact_lanes) {
        const double x = a[i];
        const double y = b[i];
        const double difference = x - y;
        sum += metric == Metric::l2 ? -difference * difference : x * y;
    }
    sum += __shfl_xor_sync(all_lanes, sum, 4);
    sum += __shfl_xor_sync(all_lanes, sum, 2);
    sum += __shfl_xor_sync(all_lanes, sum, 1);
    return static_cast<float>(sum);
}

}  // namespace faiss_qbnorm::cuda
