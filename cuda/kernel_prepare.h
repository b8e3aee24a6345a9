#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/scores.h"
#include "cuda/warp.h"
#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm::cuda {

constexpr int prepare_threads = 256;
constexpr int prepare_rows = prepare_threads / warp_size;  ///< of a block

/// The extremes of a matrix, as bits of floats that are not negative (which
/// compare as integers do).
struct RowStatistics {
    unsigned largest_norm;
    unsigned smallest_norm;
    unsigned largest_error;
};

template <class Element>
struct PrepareArguments {
    const float* raw;
    const float* center;  ///< or nullptr
    idx_t rows;
    idx_t padded_rows;
    int d;
    int ld;
    bool l2;
    float scale;        ///< of all rows; 0: a power of two for each
    Element* elements;  ///< or nullptr, where `raw` serves
    float* weight;      ///< or nullptr, where all have one scale
    float* bias;
    float* norms;
    float* errors;              ///< or nullptr
    RowStatistics* statistics;  ///< or nullptr
};

/// The least power of two above a norm: what brings the row into [1/2, 1].
__device__ inline float scale_of(float norm) {
    if (!(norm > 0) || !(norm < 1e38F)) return 1;
    int exponent = 0;
    frexpf(norm, &exponent);
    return ldexpf(1, exponent < -120 ? -120 : exponent);
}

/// A warp prepares one row: norms, scale, and the row as elements.
template <class Element>
__global__ void __launch_bounds__(prepare_threads)
    kernel_prepare(PrepareArguments<Element> a) {
    const idx_t row = idx_t{blockIdx.x} * prepare_rows + warp_id();
    if (row >= a.padded_rows) return;  // the whole warp
    const bool padding = row >= a.rows;
    const float* raw = a.raw + row * a.d;
    const auto value = [&](int i) {
        return a.center ? raw[i] - a.center[i] : raw[i];
    };
    double squares = 0;
    for (int i = lane_id(); !padding && i < a.d; i += warp_size) {
        const double x = value(i);
        squares += x * x;
    }
    squares = warp_sum(squares);
    constexpr double up = 1 + 1e-6;
    const auto norm = static_cast<float>(sqrt(squares) * up);
    const float scale = a.scale > 0 ? a.scale : scale_of(norm);

    double error = 0;
    if (a.elements) {
        Element* elements = a.elements + row * a.ld;
        for (int i = lane_id(); i < a.ld; i += warp_size) {
            const float x = !padding && i < a.d ? value(i) / scale : 0;
            elements[i] = to_element<Element>(x);
            const double lost = double{x} - to_float(elements[i]);
            error += lost * lost;
        }
    }
    error = sqrt(warp_sum(error)) * up * scale;
    if (lane_id() > 0) return;
    if (a.weight) a.weight[row] = a.l2 ? 2 * scale : scale;
    a.bias[row] =
        padding ? -HUGE_VALF : (a.l2 ? -static_cast<float>(squares) : 0);
    a.norms[row] = norm;
    if (a.errors) a.errors[row] = static_cast<float>(error);
    if (padding || !a.statistics) return;
    // Read first: a million atomics on one place would queue.
    RowStatistics& seen = *a.statistics;
    const unsigned norm_bits = __float_as_uint(norm);
    const unsigned error_bits = __float_as_uint(static_cast<float>(error));
    if (norm_bits > __ldcg(&seen.largest_norm)) {
        atomicMax(&seen.largest_norm, norm_bits);
    }
    if (norm_bits < __ldcg(&seen.smallest_norm)) {
        atomicMin(&seen.smallest_norm, norm_bits);
    }
    if (error_bits > __ldcg(&seen.largest_error)) {
        atomicMax(&seen.largest_error, error_bits);
    }
}

}  // namespace faiss_qbnorm::cuda
