#pragma once

#include <functional>

#include "cuda/sweep.h"

namespace faiss_qbnorm::cuda {

/// The shortlists that passes over gallery rows fill: by s and, where
/// `row_offsets` (of gallery rows) is given, by s - offset.
struct Filter {
    const Operand& gallery;
    const Operand& queries;
    Panel panel;
    TileShape shape;
    idx_t length;    ///< items that a query wants at most
    idx_t capacity;  ///< of the shortlists
    const float* row_offsets = nullptr;

    /// Looks at some rows; scores from the thresholds on stay.
    void pass(Workspace& work, const RowRange& range) const;

    /// Samples the gallery for thresholds; then calls `visit` for one range of
    /// rows after another, all of them together, and raises the thresholds
    /// between them.
    void all(Workspace& work,
             const std::function<void(const RowRange&)>& visit) const;

  private:
    void raise(Workspace& work, bool is_sample) const;
};

}  // namespace faiss_qbnorm::cuda
