#include "faiss_qbnorm/cpu/rank_counts.h"

namespace faiss_qbnorm {

RankCounts::RankCounts(const Queries& queries, const ExactScores& exact,
                       const std::vector<float>& targets,
                       std::vector<RankCount>& counts)
    : queries_(queries),
      exact_(exact),
      targets_(targets),
      counts_(counts),
      locks_(targets.empty() ? 0 : queries.shape.panels()) {}

void RankCounts::count(const ScoredTile& tile, const RowBound& gallery,
                       const float* offsets, float largest_offset) {
    if (targets_.empty()) return;
    const idx_t first = tile.panel * queries_.shape.panel_rows;
    const idx_t width = queries_.shape.width(tile.panel);
    std::vector<float> low(width);
    std::vector<float> high(width);
    for (idx_t i = 0; i < width; i++) {
        const float error =
            score_error(queries_.metric, queries_.scoring.type,
                        queries_.shape.d, gallery, queries_.bounds[first + i]) +
            0x1p-22F * largest_offset;
        low[i] = targets_[first + i] - error;
        high[i] = targets_[first + i] + error;
    }
    std::vector<idx_t> above(width, 0);
    std::vector<simd::Place> near;
    simd::count_above(tile.scores, tile.rows, width, offsets, low.data(),
                      high.data(), above.data(), near);
    const std::lock_guard guard(locks_[tile.panel]);
    for (idx_t i = 0; i < width; i++) counts_[first + i].before += above[i];
    for (const auto [row, column] : near) {
        const idx_t query = first + column;
        const float score = exact_(query, tile.begin + row).score;
        counts_[query].before += score > targets_[query];
        counts_[query].level += score == targets_[query];
    }
}

}  // namespace faiss_qbnorm
