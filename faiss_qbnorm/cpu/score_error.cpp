#include "faiss_qbnorm/cpu/score_error.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace faiss_qbnorm {

namespace {

double norm_of(const float* row, const float* center, int d) {
    double squares = 0;
    for (int i = 0; i < d; i++) {
        const double x = double{row[i]} - (center ? center[i] : 0);
        squares += x * x;
    }
    return std::sqrt(squares);
}

}  // namespace

RowBound bound_of(const MatrixView& rows, const float* center,
                  const float* squares, const float* lost_squares) {
    float most = 0;
    float most_lost = 0;
    for (idx_t i = 0; i < rows.rows; i++) {
        most = std::max(most, squares[i]);
        most_lost = std::max(most_lost, lost_squares[i]);
    }
    double norm = std::sqrt(double{most});
    if (!std::isfinite(most)) {
        norm = 0;
        for (idx_t i = 0; i < rows.rows; i++) {
            norm = std::max(norm, norm_of(rows.row(i), center, rows.d));
        }
    }
    // Float sums of squares err by d u; squares below 2^-126 may be lost.
    const double up = 1 + 1e-6 + rows.d * 0x1p-23;
    const double unseen = std::sqrt(rows.d) * 0x1p-62;
    return {static_cast<float>(norm * up + unseen),
            static_cast<float>(std::sqrt(double{most_lost}) * up + unseen)};
}

float score_error(Metric metric, ProductType type, int d, const RowBound& a,
                  const RowBound& b) {
    // Float summation of d products errs by at most d u |a||b|; the constant
    // covers the last roundings, and for L2 those of both squared norms.
    // Instructions for bf16 round a pair of products twice, hence twice u, and
    // flush what is below 2^-126.
    const bool bf16 = type == ProductType::bf16;
    const double u = bf16 ? 0x1p-23 : 0x1p-24;
    const double norm_a = a.norm;
    const double norm_b = b.norm;
    const double size = metric == Metric::l2
                            ? (norm_a + norm_b) * (norm_a + norm_b)
                            : norm_a * norm_b;
    const double lost =
        bf16 ? norm_a * b.lost + a.lost * norm_b + double{a.lost} * b.lost : 0;
    const double error = (d + 16) * u * size * (1 + 1e-3) +
                         (metric == Metric::l2 ? 2 : 1) * lost + d * 0x1p-120;
    // Near the end of float the product's partial sums may have overflowed.
    constexpr double most = std::numeric_limits<float>::max() / 4;
    if (!(size < most) || !(error < most)) {
        return std::numeric_limits<float>::infinity();
    }
    return static_cast<float>(error * (1 + 1e-6));
}

}  // namespace faiss_qbnorm
