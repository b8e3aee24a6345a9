#pragma once

#include <faiss/impl/DistanceComputer.h>

#include <memory>

#include "faiss_qbnorm/core/norm_table.h"

namespace faiss_qbnorm {

/// A base's distances to a query, normalised. Distances between two items are
/// the base's: there is no query whose hubs to undo.
class OffsetDistance : public faiss::DistanceComputer {
  public:
    OffsetDistance(std::unique_ptr<faiss::DistanceComputer> base, Metric metric,
                   SharedArray<float> offsets)
        : base_(std::move(base)),
          sign_(metric == Metric::l2 ? 1.0F : -1.0F),
          offsets_(std::move(offsets)) {}

    void set_query(const float* x) override { base_->set_query(x); }
    float operator()(idx_t i) override {
        return (*base_)(i) + sign_ * offsets_[i];
    }
    float symmetric_dis(idx_t i, idx_t j) override {
        return base_->symmetric_dis(i, j);
    }

  private:
    std::unique_ptr<faiss::DistanceComputer> base_;
    float sign_;
    SharedArray<float> offsets_;
};

}  // namespace faiss_qbnorm
