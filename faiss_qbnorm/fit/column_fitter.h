#pragma once

#include <memory>

#include "faiss_qbnorm/engine.h"

namespace faiss_qbnorm {

/// What a bank column is fitted from.
struct ColumnTask {
    const Engine& engine;
    Metric metric;
    MatrixView bank;
    Bank which;
    Normalization normalization;
    idx_t begin;  ///< items [begin, end) of the gallery
    idx_t end;
    idx_t list_length;  ///< of IS
    /// Of IS: other items, among which these compete for the bank lists.
    const BankLists* known = nullptr;
};

/// Makes a column's offsets (and of IS the activation set and bank lists) from
/// gallery blocks, which come in any order.
class ColumnFitter {
  public:
    virtual ~ColumnFitter() = default;

    virtual void add(const GalleryBlock& block) = 0;
    /// Once, after the last block. An item that was in none has the offset
    /// `no_offset`.
    virtual BankColumn finish() = 0;

    /// No score is as large.
    static constexpr float no_offset = std::numeric_limits<float>::max();

  protected:
    explicit ColumnFitter(const ColumnTask& task)
        : task_(task), offsets_(task.end - task.begin, no_offset) {}

    float& offset_of(const GalleryBlock& block, idx_t row) {
        return offsets_[block.label(row) - task_.begin];
    }
    /// With all that does not depend on the method.
    BankColumn column();

    const ColumnTask task_;
    HugeVector<float> offsets_;
};

/// IS, DIS and each bank of DualIS and DualDIS: a probe.
std::unique_ptr<ColumnFitter> fit_is(const ColumnTask& task);

/// CSLS and NNN: the mean of each item's `neighbours` largest scores (of all,
/// where the bank is smaller), halved for CSLS, times alpha for NNN.
std::unique_ptr<ColumnFitter> fit_neighbours(const ColumnTask& task);

/// CENT: <c, g>, c the mean of the bank; the inner product only.
std::unique_ptr<ColumnFitter> fit_mean(const ColumnTask& task);

/// DBSN: (log sum_i w_i exp(beta p_ij) - log M) / beta, from the logarithms of
/// weights whose mean is 1.
std::unique_ptr<ColumnFitter> fit_weighted(const ColumnTask& task,
                                           const SharedArray<float>& weights);

}  // namespace faiss_qbnorm
