#include "faiss_qbnorm/core/matrix.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <bit>
#include <cmath>

#include "faiss_qbnorm/core/error.h"

namespace faiss_qbnorm {

void check_finite(const MatrixView& matrix, std::string_view what) {
    check_finite(GalleryBlock{matrix}, what);
}

void check_finite(const GalleryBlock& block, std::string_view what) {
    const MatrixView& matrix = block.vectors;
    idx_t bad_row = matrix.rows;
#pragma omp parallel for reduction(min : bad_row)
    for (idx_t i = 0; i < matrix.rows; i++) {
        const float* row = matrix.row(i);
        // One more in an exponent of ones reaches the sign, which or-ing
        // collects: fewer instructions than comparing each.
        std::uint32_t carried = 0;
        for (int j = 0; j < matrix.d; j++) {
            const auto bits = std::bit_cast<std::uint32_t>(row[j]);
            carried |= (bits & 0x7fffffff) + 0x00800000;
        }
        if (carried >> 31 && i < bad_row) bad_row = i;
    }
    if (bad_row == matrix.rows) return;
    fail(what, ": row ", block.label(bad_row),
         " holds NaN or Inf; remove or repair it");
}

void normalize_rows(float* data, idx_t rows, int d) {
#pragma omp parallel for
    for (idx_t i = 0; i < rows; i++) {
        float* row = data + i * d;
        double squares = 0;
        for (int j = 0; j < d; j++) squares += double{row[j]} * row[j];
        if (squares == 0) continue;
        const double scale = 1.0 / std::sqrt(squares);
        for (int j = 0; j < d; j++) {
            row[j] = static_cast<float>(row[j] * scale);
        }
    }
}

std::vector<float> mean_row(const MatrixView& matrix) {
    std::vector<double> sums(matrix.d, 0);
    for (idx_t i = 0; i < matrix.rows; i++) {
        for (int j = 0; j < matrix.d; j++) sums[j] += matrix.row(i)[j];
    }
    std::vector<float> mean(matrix.d);
    for (int j = 0; j < matrix.d; j++) {
        mean[j] =
            static_cast<float>(sums[j] / static_cast<double>(matrix.rows));
    }
    return mean;
}

std::uint64_t fingerprint(const GalleryBlock& block) {
    const MatrixView& m = block.vectors;
    std::uint64_t sum = 0;
#pragma omp parallel for reduction(+ : sum)
    for (idx_t i = 0; i < m.rows; i++) {
        sum +=
            XXH3_64bits_withSeed(m.row(i), sizeof(float) * m.d, block.label(i));
    }
    return sum;
}

}  // namespace faiss_qbnorm
