#pragma once

#include <vector>

#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm {

/// Rows of a matrix with what scoring needs to know of them.
struct ScoredRows {
    MatrixView rows;
    std::vector<float> squares;  ///< of each row
    std::vector<float> norms;    ///< of each row, rounded up

    explicit ScoredRows(const MatrixView& matrix);

    /// The largest norm among rows [begin, end).
    float max_norm(idx_t begin, idx_t end) const;
};

/// tile[i * columns + j] = score of left row i and right row j, for
/// `left_rows` x `columns` rows. One BLAS product on the calling thread: fast,
/// with an error of at most score_error.
void score_tile(Metric metric, const float* left, const float* left_squares,
                idx_t left_rows, const float* right, const float* right_squares,
                idx_t columns, int d, float* tile);

/// A bound on |score_tile - exact_score| for rows of at most these norms;
/// infinity where the product may overflow.
float score_error(Metric metric, int d, float left_norm, float right_norm);

}  // namespace faiss_qbnorm
