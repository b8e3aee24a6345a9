#pragma once

#include <span>
#include <vector>

#include "faiss_qbnorm/eval/evaluate.h"

namespace faiss_qbnorm {

/// What one method says of all queries, one after another.
class Collected {
  public:
    /// A query's rank, its top occurrence_k labels, and whether it was
    /// normalised.
    void add(double rank, std::span<const idx_t> labels, bool open) {
        ranks_.push_back(rank);
        labels_.insert(labels_.end(), labels.begin(), labels.end());
        open_ += open;
    }

    MethodReport report(Method method, idx_t gallery_size) const {
        return {
            method, retrieval_metrics(ranks_),
            hubness(labels_, occurrence_k, gallery_size),
            static_cast<double>(open_) / static_cast<double>(ranks_.size())};
    }

  private:
    std::vector<double> ranks_;
    std::vector<idx_t> labels_;
    idx_t open_ = 0;
};

}  // namespace faiss_qbnorm
