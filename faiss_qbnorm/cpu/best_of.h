#pragma once

#include <vector>

#include "faiss_qbnorm/core/top_lists.h"
#include "faiss_qbnorm/cpu/simd.h"

namespace faiss_qbnorm {

/// Finds the best of many scores for a list of one query. One thread's.
class BestOf {
  public:
    /// Offers to row 0 of `list` all that can enter it. NaN cannot.
    void offer(const float* scores, const idx_t* labels, size_t n,
               TopLists& list);

  private:
    float least(const float* scores, idx_t n, const TopLists& list);

    std::vector<float> maxima_;
    std::vector<simd::Place> places_;
    std::vector<Scored> found_;
};

}  // namespace faiss_qbnorm
