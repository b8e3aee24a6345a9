#pragma once

#include <vector>

#include "faiss_qbnorm/gallery.h"
#include "faiss_qbnorm/similarities/similarities.h"

namespace faiss_qbnorm {

/// The scores of `rows` (n x d) with every item of a gallery, each equal to
/// exact_score of core/formula.h bit for bit. Memory: the rows in double and,
/// while it reads, the block in double.
class VectorSimilarities : public Similarities {
  public:
    /// Refers to the gallery and the rows: keep them alive. `name` is what
    /// errors call the rows. Throws on a wrong dimension, on NaN or Inf in the
    /// rows, and where the gallery has labels without items.
    VectorSimilarities(Metric metric, const Gallery& gallery,
                       const MatrixView& rows, std::string name);

    idx_t rows() const override { return rows_.rows; }
    idx_t items() const override { return gallery_.size(); }
    std::string name() const override { return name_; }

    /// Throws where the gallery holds NaN or Inf, and where a score overflows
    /// float32, naming the item.
    void read(idx_t begin, idx_t end, float* out) const override;

  private:
    void score(const GalleryBlock& block, idx_t begin, float* out) const;

    Metric metric_;
    const Gallery& gallery_;
    MatrixView rows_;
    std::string name_;
    std::vector<double> wide_;     // the rows
    std::vector<double> squares_;  // their squared lengths
};

}  // namespace faiss_qbnorm
