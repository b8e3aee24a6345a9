#pragma once

#include "faiss_qbnorm/core/types.h"
#include "faiss_qbnorm/cpu/product.h"
#include "faiss_qbnorm/cpu/simd.h"

namespace faiss_qbnorm {

/// Upper bounds of a row's length, and of the length of what it lost when it
/// was rounded to a factor.
struct RowBound {
    float norm = 0;
    float lost = 0;

    /// Covers `other`, too.
    void cover(const RowBound& other) {
        norm = norm < other.norm ? other.norm : norm;
        lost = lost < other.lost ? other.lost : lost;
    }
};

/// Covers the rows (without the center, where that is not null), from what
/// simd::load_row measured of each.
RowBound bound_of(const MatrixView& rows, const float* center,
                  const float* squares, const float* lost_squares);

/// A bound on |score - exact_score| where a score comes from such a product of
/// rows within these bounds; infinity where the product may overflow.
float score_error(Metric metric, ProductType type, int d, const RowBound& a,
                  const RowBound& b);

}  // namespace faiss_qbnorm
