#pragma once

#include <memory>

#include "faiss_qbnorm/cpu/queries.h"

namespace faiss_qbnorm {

/// One thread's tile: gallery rows, and their scores with a panel of queries.
class TileScorer {
  public:
    explicit TileScorer(const Queries& queries);

    /// Gallery rows [begin, end) go to rows `place` and on of the tile. A
    /// library may sum in another order elsewhere in it: an item that keeps its
    /// place keeps its bits.
    void load(const MatrixView& gallery, idx_t begin, idx_t end, idx_t place);

    /// A bound on the error of the tile's scores with any query; infinity where
    /// some may be beyond float.
    float error() const;

    /// Scores of the rows loaded x the panel's queries.
    const float* score(idx_t panel);

    /// Instead of both, for few queries: scores of the queries x gallery rows
    /// [begin, end).
    const float* score_few(const MatrixView& gallery, idx_t begin, idx_t end);

    /// A bound on the error of the tile's scores with query `query`.
    float error(idx_t query) const;

    /// Covers the rows loaded.
    const RowBound& bound() const { return bound_; }

    /// How large a score of the i-th row loaded can be, by magnitude.
    float reach(idx_t i) const;

  private:
    const Queries& queries_;
    std::unique_ptr<Multiplier> multiplier_;
    HugeVector<float> fp32_;
    HugeVector<std::uint16_t> bf16_;
    HugeVector<float> tile_;
    std::vector<float> squares_;
    std::vector<float> lost_squares_;
    Factors left_;
    RowBound bound_;
    idx_t place_ = 0;
    idx_t rows_ = 0;
};

}  // namespace faiss_qbnorm
