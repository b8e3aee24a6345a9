#pragma once

#include <algorithm>
#include <cmath>

#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm::cuda {

/// A quarter of float's range: sums of products up to here do not overflow.
constexpr double safe_score = 8.5e37;

/// What the distance of a tile's scores from exact scores depends on, beside
/// the query.
struct ScoreBound {
    bool l2;
    bool fp16;  ///< operands and tile; else float
    int d;
    float gallery_norm;   ///< the largest of the gallery chunk
    float gallery_error;  ///< the largest |g - fp16(g)|; 0 for float
    float query_norm;     ///< the largest of the batch
    float offset = 0;     ///< the largest |offset| subtracted; 0 for none

    /// |tile score - exact score| is at most this for a query of this norm and
    /// rounding error |q - fp16(q)|; infinity where a product may overflow.
    float of(float norm, float error) const {
        const double a = norm;
        const double b = gallery_norm;
        const double size = l2 ? (a + b) * (a + b) : a * b;
        const double most = query_norm;
        const double largest = l2 ? (most + b) * (most + b) : most * b;
        if (!(largest < safe_score)) return HUGE_VALF;
        // Cauchy-Schwarz on the operands' measured rounding errors.
        double bound = a * gallery_error + double{error} * (b + gallery_error);
        if (fp16) {
            // Tensor cores align and truncate what they add: two bits less
            // than float. Then, once (Blas forbids sums in half), the score is
            // rounded to half, whose smallest
            // step (operands are scaled to norms of at most 1) is 2^-24.
            bound += ((d + 16) * 0x1p-22 + 0x1p-11) * a * b;
            constexpr double least = 0x1p-120;  // that a norm is scaled from
            bound += 0x1p-22 * std::max(most, least) * std::max(b, least);
        }
        if (l2) bound *= 2;
        // Float sums and the last roundings.
        bound += (d + 16) * 0x1p-24 * size + 0x1p-22 * offset;
        return static_cast<float>(bound * (1 + 1e-3) + 1e-37);
    }
};

}  // namespace faiss_qbnorm::cuda
