#pragma once

#include <string_view>
#include <vector>

#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm {

/// Throws where a number is NaN or infinite, naming `what` and the row by its
/// label.
void check_finite(const GalleryBlock& block, std::string_view what);
void check_finite(const MatrixView& matrix, std::string_view what);

/// Divides each row by its Euclidean norm; a row of zeros stays as it is.
void normalize_rows(float* data, idx_t rows, int d);

/// The mean of the rows, summed in double.
std::vector<float> mean_row(const MatrixView& matrix);

/// The sum over rows of hash(label, row's float32 bytes) mod 2^64: equal for
/// the same rows under the same labels in whatever order they come, and
/// additive over parts of a gallery.
std::uint64_t fingerprint(const GalleryBlock& block);

}  // namespace faiss_qbnorm
