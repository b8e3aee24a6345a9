#include "faiss_qbnorm/cpu/selection.h"

#include <limits>

#include "faiss_qbnorm/core/parallel_errors.h"

namespace faiss_qbnorm {

namespace {

std::vector<RowBound> panel_bounds(const Queries& queries) {
    std::vector<RowBound> bounds(queries.shape.panels());
    for (idx_t i = 0; i < queries.shape.right_rows; i++) {
        bounds[i / queries.shape.panel_rows].cover(queries.bounds[i]);
    }
    return bounds;
}

}  // namespace

Selection::Selection(const Queries& queries, const ExactScores& exact,
                     const TopLists& known)
    : queries_(queries),
      bounds_(panel_bounds(queries)),
      locks_(queries.shape.panels()) {
    rankings_.push_back({Shortlists(known, exact), 0});
}

Selection::Selection(const Queries& queries, const ExactScores& exact,
                     const TopLists& known, const ExactScores& exact_normalised,
                     const TopLists& known_normalised, float largest_offset)
    : Selection(queries, exact, known) {
    // The subtraction rounds too: the error of s is far above one rounding of
    // s, the offset's share is added here.
    rankings_.push_back({Shortlists(known_normalised, exact_normalised),
                         0x1p-22F * largest_offset});
}

void Selection::finish(TopLists& raw, TopLists* normalised) {
    ParallelErrors errors;
#pragma omp parallel for schedule(dynamic, 16)
    for (idx_t query = 0; query < queries_.shape.right_rows; query++) {
        errors.run([&] {
            rankings_[0].lists.finish(query, raw);
            if (normalised) rankings_[1].lists.finish(query, *normalised);
        });
    }
    errors.rethrow();
}

Selector::Selector(Selection& selection) : selection_(selection) {
    for (auto& thresholds : thresholds_) {
        thresholds.resize(selection.queries_.shape.panel_rows);
    }
    bounds_.resize(selection.queries_.shape.panel_rows);
}

void Selector::select(const ScoredTile& tile, const RowBound& gallery,
                      const float* offsets) {
    const Queries& queries = selection_.queries_;
    const idx_t first = tile.panel * queries.shape.panel_rows;
    const idx_t width = queries.shape.width(tile.panel);
    const float error =
        score_error(queries.metric, queries.scoring.type, queries.shape.d,
                    gallery, selection_.bounds_[tile.panel]);
    set_thresholds(tile, error, offsets);
    places_.clear();
    simd::select(tile.scores, tile.rows, width, thresholds_[0].data(), offsets,
                 thresholds_[1].data(), places_);
    if (places_.empty()) return;
    const std::lock_guard guard(selection_.locks_[tile.panel]);
    for (const auto [row, column] : places_) {
        add(tile, first + column, row, tile.scores[row * width + column],
            offsets, error);
    }
}

void Selector::select_by_query(const ScoredTile& tile, const RowBound& gallery,
                               const float* offsets) {
    const Queries& queries = selection_.queries_;
    const idx_t first = tile.panel * queries.shape.panel_rows;
    const float error =
        score_error(queries.metric, queries.scoring.type, queries.shape.d,
                    gallery, selection_.bounds_[tile.panel]);
    for (idx_t i = 0; i < queries.shape.width(tile.panel); i++) {
        const float* scores = tile.scores + i * tile.rows;
        float least[2] = {};
        for (size_t which = 0; which < selection_.rankings_.size(); which++) {
            auto& [lists, more] = selection_.rankings_[which];
            least[which] = lists.threshold(first + i) - error - more;
        }
        places_.clear();
        simd::select_column(scores, tile.rows, least[0], offsets, least[1],
                            places_);
        if (places_.empty()) continue;
        const std::lock_guard guard(selection_.locks_[tile.panel]);
        for (const auto& place : places_) {
            add(tile, first + i, place.row, scores[place.row], offsets, error);
        }
    }
}

void Selector::set_thresholds(const ScoredTile& tile, float error,
                              const float* offsets) {
    constexpr float none = -std::numeric_limits<float>::infinity();
    const ProductShape& shape = selection_.queries_.shape;
    const idx_t first = tile.panel * shape.panel_rows;
    const idx_t width = shape.width(tile.panel);
    for (size_t which = 0; which < selection_.rankings_.size(); which++) {
        auto& [lists, more] = selection_.rankings_[which];
        std::vector<float>& thresholds = thresholds_[which];
        bool all_known = true;
        for (idx_t i = 0; i < width; i++) {
            const float threshold = lists.threshold(first + i);
            all_known = all_known && threshold > none;
            thresholds[i] = threshold - error - more;
        }
        // Without thresholds all would pass: k groups of rows give some.
        if (all_known || 2 * lists.k() > tile.rows || lists.k() == 0) continue;
        simd::column_bounds(tile.scores, tile.rows, width,
                            which == 0 ? nullptr : offsets, lists.k(),
                            bounds_.data());
        for (idx_t i = 0; i < width; i++) {
            lists.raise_threshold(first + i, bounds_[i] - error - more);
            thresholds[i] = lists.threshold(first + i) - error - more;
        }
    }
}

void Selector::add(const ScoredTile& tile, idx_t query, idx_t row, float score,
                   const float* offsets, float error) {
    std::vector<Selection::Ranking>& rankings = selection_.rankings_;
    rankings[0].lists.add(query, tile.begin + row, score, error);
    if (!offsets) return;
    rankings[1].lists.add(query, tile.begin + row, score - offsets[row],
                          error + rankings[1].more_error);
}

}  // namespace faiss_qbnorm
