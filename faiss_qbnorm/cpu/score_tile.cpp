#include "faiss_qbnorm/cpu/score_tile.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "faiss_qbnorm/core/formula.h"

extern "C" int sgemm_(const char* transa, const char* transb, const int* m,
                      const int* n, const int* k, const float* alpha,
                      const float* a, const int* lda, const float* b,
                      const int* ldb, const float* beta, float* c,
                      const int* ldc);

namespace faiss_qbnorm {

ScoredRows::ScoredRows(const MatrixView& matrix)
    : rows(matrix), squares(matrix.rows), norms(matrix.rows) {
    constexpr double up = 1 + 1e-6;
#pragma omp parallel for
    for (idx_t i = 0; i < matrix.rows; i++) {
        double sum = 0;
        const float* row = matrix.row(i);
        for (int j = 0; j < matrix.d; j++) sum += double{row[j]} * row[j];
        squares[i] = static_cast<float>(sum);
        norms[i] = static_cast<float>(std::sqrt(sum) * up);
    }
}

float ScoredRows::max_norm(idx_t begin, idx_t end) const {
    return *std::max_element(norms.begin() + begin, norms.begin() + end);
}

void score_tile(Metric metric, const float* left, const float* left_squares,
                idx_t left_rows, const float* right, const float* right_squares,
                idx_t columns, int d, float* tile) {
    // Fortran's column-major C[columns x left_rows] is our row-major tile.
    const int m = static_cast<int>(columns);
    const int n = static_cast<int>(left_rows);
    const float one = 1;
    const float zero = 0;
    sgemm_("T", "N", &m, &n, &d, &one, right, &d, left, &d, &zero, tile, &m);
    if (metric == Metric::inner_product) return;
    for (idx_t i = 0; i < left_rows; i++) {
        float* row = tile + i * columns;
        for (idx_t j = 0; j < columns; j++) {
            row[j] = 2 * row[j] - left_squares[i] - right_squares[j];
        }
    }
}

float score_error(Metric metric, int d, float left_norm, float right_norm) {
    // Float summation of d products errs by at most d u |a||b|; the constant
    // covers the last roundings, and for L2 those of both squared norms.
    constexpr double u = 0x1p-24;
    const double a = left_norm;
    const double b = right_norm;
    const double size = metric == Metric::l2 ? (a + b) * (a + b) : a * b;
    // Near the end of float the product's partial sums may have overflowed.
    constexpr double most = std::numeric_limits<float>::max() / 4;
    if (!(size < most)) return std::numeric_limits<float>::infinity();
    return static_cast<float>((d + 16) * u * size * (1 + 1e-3) + 1e-37);
}

}  // namespace faiss_qbnorm
