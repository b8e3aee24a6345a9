#pragma once

#include <mutex>
#include <vector>

#include "faiss_qbnorm/cpu/selection.h"
#include "faiss_qbnorm/engine.h"

namespace faiss_qbnorm {

/// Counts the items that rank before, and level with, each query's target.
class RankCounts {
  public:
    /// Counts nothing where `targets` is empty.
    RankCounts(const Queries& queries, const ExactScores& exact,
               const std::vector<float>& targets,
               std::vector<RankCount>& counts);

    /// By raw scores or, with offsets, normalised ones.
    void count(const ScoredTile& tile, const RowBound& gallery,
               const float* offsets, float largest_offset);

  private:
    const Queries& queries_;
    const ExactScores& exact_;
    const std::vector<float>& targets_;
    std::vector<RankCount>& counts_;
    std::vector<std::mutex> locks_;  // of each panel's counts
};

}  // namespace faiss_qbnorm
