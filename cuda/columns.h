#pragma once

#include <vector>

#include "cuda/operand.h"
#include "cuda/upload.h"

namespace faiss_qbnorm::cuda {

/// A bank or a batch of queries on the device: the columns of tiles.
struct Columns {
    DeviceArray<float> raw;     ///< as they came, for exact scores
    DeviceArray<float> center;  ///< taken from both sides, where
    bool centered = false;      ///< something is
    Operand operand;
    PinnedArray<float> norms_and_errors;

    const float* center_or_null() const {
        return centered ? center.data() : nullptr;
    }

    /// The norm of the operand's row, and |row - what the operand makes of it|.
    float norm(idx_t row) const { return norms_and_errors.data()[row]; }
    float error(idx_t row) const {
        return norms_and_errors.data()[operand.rows + row];
    }
};

/// Whether all norms are within 1 % of 1.
bool has_unit_norms(const MatrixView& rows);

/// Uploads and prepares `rows`, padded to a multiple of `multiple` rows, less
/// `center` (empty for none), into `columns`, whose memory is used again.
void fill(Columns& columns, Metric metric, const MatrixView& rows,
          const std::vector<float>& center, bool fp16, idx_t multiple,
          Upload& upload, cudaStream_t stream);

}  // namespace faiss_qbnorm::cuda
