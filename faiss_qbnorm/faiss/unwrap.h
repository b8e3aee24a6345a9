#pragma once

#include <faiss/Index.h>

#include <memory>

#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm {

/// The index behind any IndexPreTransform: whose distances the base returns.
const faiss::Index& innermost(const faiss::Index& base);

/// Vectors as innermost(base) takes them: through every IndexPreTransform.
class Transformed {
  public:
    Transformed(const faiss::Index& base, const MatrixView& vectors);

    const MatrixView& view() const { return vectors_; }

  private:
    MatrixView vectors_;
    std::unique_ptr<const float[]> owned_;  // null where nothing transforms
};

/// Whether scores before the base's transforms are those behind them, so that
/// a table may be fitted on the original vectors.
bool preserves_scores(const faiss::Index& base, Metric metric);

}  // namespace faiss_qbnorm
