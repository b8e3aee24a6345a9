#pragma once

#include "faiss_qbnorm/core/formula.h"
#include "faiss_qbnorm/cpu/bound.h"
#include "faiss_qbnorm/cpu/simd.h"

namespace faiss_qbnorm {

/// The scores that rank a block's items, by their rows in it.
class ExactScores {
  public:
    /// Without a table, raw scores.
    ExactScores(Metric metric, const MatrixView& queries,
                const GalleryBlock& block, const CpuTable* table)
        : metric_(metric), queries_(queries), block_(block), table_(table) {}

    Scored operator()(idx_t query, idx_t row) const {
        return from_raw(row,
                        simd::exact_score(metric_, queries_.row(query),
                                          block_.vectors.row(row), queries_.d));
    }

    /// The same where the raw score is there.
    Scored from_raw(idx_t row, float raw) const {
        const idx_t label = block_.label(row);
        return {table_ ? raw - table_->offsets[label - table_->begin] : raw,
                label};
    }

    idx_t label(idx_t row) const { return block_.label(row); }

    /// Says that the row's score will be asked for soon.
    void prefetch(idx_t row) const {
        constexpr int line = 16;
        const float* vector = block_.vectors.row(row);
        for (int i = 0; i < queries_.d; i += line) {
            __builtin_prefetch(vector + i);
        }
    }

  private:
    Metric metric_;
    const MatrixView& queries_;
    const GalleryBlock& block_;
    const CpuTable* table_;
};

}  // namespace faiss_qbnorm
