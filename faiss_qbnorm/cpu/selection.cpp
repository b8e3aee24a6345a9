#include "faiss_qbnorm/cpu/selection.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace faiss_qbnorm {

Selection::Selection(const Queries& queries, const PanelRange& panels,
                     const Wanted& raw, bool shared)
    : queries_(queries),
      first_query_(panels.first * queries.shape.panel_rows),
      last_query_(std::min(panels.last * queries.shape.panel_rows,
                           queries.shape.right_rows)),
      shared_(shared) {
    rankings_.push_back(
        {Shortlists(raw.known, first_query_, last_query_, raw.exact, shared),
         0});
}

void Selection::add_normalised(const Wanted& normalised, float largest_offset) {
    // The subtraction rounds too: the error of s is far above one rounding of
    // s, the offset's share is added here.
    rankings_.push_back({Shortlists(normalised.known, first_query_, last_query_,
                                    normalised.exact, shared_),
                         0x1p-22F * largest_offset});
}

void Selection::aim_at_sample(double share) {
    for (Ranking& ranking : rankings_) {
        // Of the best k so many are in the sample, give or take a few: too few
        // are for one query of ten thousand.
        const double mean = share * static_cast<double>(ranking.lists.k());
        const auto aim = static_cast<idx_t>(mean + 3.5 * std::sqrt(mean) + 3);
        if (aim < ranking.lists.k()) ranking.lists.aim_at(aim);
    }
}

void Selection::guess() {
    for (Ranking& ranking : rankings_) ranking.lists.guess();
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

void Selector::turn_to(const ScoredTile& tile, const RowBound& gallery,
                       const float* offsets) {
    const Queries& queries = selection_.queries_;
    tile_ = tile;
    offsets_ = offsets;
    error_ = score_error(queries.metric, queries.scoring.type, queries.shape.d,
                         gallery, queries.panel_bounds[tile.panel]);
}

void Selector::begin(const ScoredTile& tile, const RowBound& gallery,
                     const float* offsets) {
    turn_to(tile, gallery, offsets);
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
    // Lists that other threads write to are far away: ask ahead.
    constexpr size_t soon = 8;
    constexpr size_t early = 2 * soon;
    const auto query = [&](size_t i) {
        return first_query() + places_[i].column;
    };
    for (size_t i = 0; i < places_.size() + early; i++) {
        for (const auto& [lists, more] : selection_.rankings_) {
            if (i < places_.size()) lists.prefetch_list(query(i));
            if (i >= soon && i - soon < places_.size()) {
                lists.prefetch_item(query(i - soon));
            }
        }
        if (i < early) continue;
        const auto [row, column] = places_[i - early];
        add(query(i - early), row, tile_.scores[row * width() + column]);
    }
}

void Selector::select_by_query(const ScoredTile& tile, const RowBound& gallery,
                               const float* offsets) {
    turn_to(tile, gallery, offsets);
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
