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
    : queries_(queries), bounds_(panel_bounds(queries)) {
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

idx_t Selector::first_query() const {
    return tile_.panel * selection_.queries_.shape.panel_rows;
}

idx_t Selector::width() const {
    return selection_.queries_.shape.width(tile_.panel);
}

void Selector::begin(const ScoredTile& tile, const RowBound& gallery,
                     const float* offsets) {
    const Queries& queries = selection_.queries_;
    tile_ = tile;
    offsets_ = offsets;
    error_ = score_error(queries.metric, queries.scoring.type, queries.shape.d,
                         gallery, selection_.bounds_[tile.panel]);
    places_.clear();
    set_thresholds();
}

void Selector::set_thresholds() {
    constexpr float none = -std::numeric_limits<float>::infinity();
    const idx_t first = first_query();
    for (size_t which = 0; which < selection_.rankings_.size(); which++) {
        auto& [lists, more] = selection_.rankings_[which];
        std::vector<float>& thresholds = thresholds_[which];
        const float error = error_ + more;
        bool all_known = true;
        for (idx_t i = 0; i < width(); i++) {
            const float threshold = lists.threshold(first + i);
            all_known = all_known && threshold > none;
            thresholds[i] = threshold - error;
        }
        // Without thresholds all would pass: k groups of rows give some.
        if (all_known || 2 * lists.k() > tile_.rows || lists.k() == 0) continue;
        simd::column_bounds(tile_.scores, tile_.rows, width(),
                            which == 0 ? nullptr : offsets_, lists.k(),
                            bounds_.data());
        for (idx_t i = 0; i < width(); i++) {
            lists.raise_threshold(first + i, bounds_[i] - error);
            thresholds[i] = lists.threshold(first + i) - error;
        }
    }
}

void Selector::look(idx_t first, idx_t last) {
    const size_t seen = places_.size();
    simd::select(tile_.scores + first * width(), last - first, width(),
                 thresholds_[0].data(), offsets_ ? offsets_ + first : nullptr,
                 thresholds_[1].data(), places_);
    for (size_t i = seen; i < places_.size(); i++) {
        places_[i].row += static_cast<std::int32_t>(first);
    }
}

void Selector::end() {
    for (const auto [row, column] : places_) {
        add(first_query() + column, row, tile_.scores[row * width() + column]);
    }
}

void Selector::select_by_query(const ScoredTile& tile, const RowBound& gallery,
                               const float* offsets) {
    const Queries& queries = selection_.queries_;
    tile_ = tile;
    offsets_ = offsets;
    error_ = score_error(queries.metric, queries.scoring.type, queries.shape.d,
                         gallery, selection_.bounds_[tile.panel]);
    for (idx_t i = 0; i < width(); i++) {
        const idx_t query = first_query() + i;
        const float* scores = tile.scores + i * tile.rows;
        float least[2] = {};
        for (size_t which = 0; which < selection_.rankings_.size(); which++) {
            auto& [lists, more] = selection_.rankings_[which];
            least[which] = lists.threshold(query) - error_ - more;
        }
        places_.clear();
        simd::select_column(scores, tile.rows, least[0], offsets, least[1],
                            places_);
        for (const auto& place : places_) {
            add(query, place.row, scores[place.row]);
        }
    }
}

void Selector::add(idx_t query, idx_t row, float score) {
    std::vector<Selection::Ranking>& rankings = selection_.rankings_;
    rankings[0].lists.add(query, tile_.begin + row, score, error_);
    if (!offsets_) return;
    rankings[1].lists.add(query, tile_.begin + row, score - offsets_[row],
                          error_ + rankings[1].more_error);
}

}  // namespace faiss_qbnorm
