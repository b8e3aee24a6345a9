#pragma once

#include <cstddef>

#include "cuda/device.h"
#include "faiss_qbnorm/engine.h"

namespace faiss_qbnorm::cuda {

/// Vectors as matrix products take them, on the device: less a center, scaled
/// by powers of two, as half or float. With `product` the product of two such
/// rows, their score is (float arithmetic)
///
///     weight[g] * queries.scale * product + bias[g] + queries.bias[q]
///
/// for a gallery row g (each scaled by itself) and a bank or query row q (all
/// scaled alike).
struct Operand {
    enum class Side { gallery, queries };

    Side side;
    bool fp16;
    bool l2;
    idx_t rows = 0;
    idx_t padded_rows = 0;  ///< the rest are zeros, with a bias of -infinity
    int d = 0;
    int ld = 0;                      ///< elements from row to row
    const void* elements = nullptr;  ///< padded_rows x ld
    DeviceArray<std::byte> own;      ///< of `elements`, where not given
    DeviceArray<float> weight;       ///< gallery side only
    DeviceArray<float> bias;
    DeviceArray<float> norms;   ///< rounded up
    DeviceArray<float> errors;  ///< |row - what `elements` make of it|;
                                ///< queries' side only
    float scale = 1;            ///< of all rows; queries' side only
    DeviceArray<unsigned> statistics;
    PinnedArray<unsigned> statistics_on_host;
    float largest_norm = 0;
    float smallest_norm = 0;
    float largest_error = 0;  ///< gallery side only

    idx_t bytes_per_element() const { return fp16 ? 2 : 4; }
    /// Row `row`; as an address only, the type is `fp16`'s.
    const void* row(idx_t row) const {
        return static_cast<const std::byte*>(elements) +
               row * ld * bytes_per_element();
    }
    bool unit_norm() const {
        return smallest_norm > 0.99F && largest_norm < 1.01F;
    }
};

/// Device bytes that a gallery operand, in this precision or either, and the
/// raw rows it is made of take.
idx_t bytes_of_rows(idx_t padded_rows, int d, Precision precision);

/// Fills `operand` (side, fp16, l2, rows, padded_rows, d) from `raw`, rows x d
/// floats on the device; where `elements` come to be `raw` itself, there must
/// be padded_rows of them. `center` (d floats on the device) is taken from each
/// row; nullptr is none. The norms' extremes and the largest error are the
/// gallery side's only, which waits for the stream.
void prepare(Operand& operand, const float* raw, const float* center,
             cudaStream_t stream);

}  // namespace faiss_qbnorm::cuda
