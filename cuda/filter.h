#pragma once

#include "cuda/sweep.h"

namespace faiss_qbnorm::cuda {

/// The shortlists that a sweep over gallery rows fills: by s and, where
/// `row_offsets` (of gallery rows) is given, by s - offset.
struct Filter {
    const Operand& gallery;
    const Operand& queries;
    Panel panel;
    TileShape shape;
    const float* row_offsets = nullptr;

    /// Looks at every stride-th row; scores from the thresholds on stay.
    void pass(Workspace& work, idx_t stride) const;
    /// Passes over samples, which raise the thresholds.
    void sample(Workspace& work, idx_t length, idx_t capacity) const;
};

}  // namespace faiss_qbnorm::cuda
