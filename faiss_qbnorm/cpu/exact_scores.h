#pragma once

#include <algorithm>
#include <span>

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

    /// Raw scores of rows that lie anywhere, faster than one by one.
    void raw(idx_t query, std::span<const idx_t> rows, float* scores) const {
        constexpr size_t at_once = 4;
        constexpr size_t ahead = 2 * at_once;
        const float* vectors[at_once];
        for (size_t i = 0; i < rows.size() + ahead; i += at_once) {
            for (size_t j = i; j < std::min(i + at_once, rows.size()); j++) {
                prefetch(rows[j]);
            }
            if (i < ahead) continue;
            const size_t first = i - ahead;
            const size_t count = std::min(at_once, rows.size() - first);
            for (size_t j = 0; j < count; j++) {
                vectors[j] = block_.vectors.row(rows[first + j]);
            }
            simd::exact_scores(metric_, queries_.row(query), vectors,
                               static_cast<idx_t>(count), queries_.d,
                               scores + first);
        }
    }

    /// The same where the raw score is there.
    Scored from_raw(idx_t row, float raw) const {
        const idx_t label = block_.label(row);
        return {table_ ? raw - table_->offsets[label - table_->begin] : raw,
                label};
    }

    idx_t label(idx_t row) const { return block_.label(row); }

  private:
    void prefetch(idx_t row) const {
        constexpr int line = 16;
        const float* vector = block_.vectors.row(row);
        for (int i = 0; i < queries_.d; i += line) {
            __builtin_prefetch(vector + i);
        }
    }

    Metric metric_;
    const MatrixView& queries_;
    const GalleryBlock& block_;
    const CpuTable* table_;
};

}  // namespace faiss_qbnorm
