#include "faiss_qbnorm/cpu/selection.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace faiss_qbnorm {

Selection::Selection(const Queries& queries, const PanelRange& panels,
                     const Wanted& raw, bool shared)
    : queries_(queries),
      first_panel_(panels.first),
      first_query_(panels.first * queries.shape.panel_rows),
      last_query_(std::min(panels.last * queries.shape.panel_rows,
                           queries.shape.right_rows)) {
    rankings_.push_back(
        {Shortlists(raw.known, first_query_, last_query_, raw.exact), 0});
    if (shared) {
        locks_ = std::make_unique<std::mutex[]>(panels.last - panels.first);
    }
}

void Selection::add_normalised(const Wanted& normalised, float largest_offset) {
    // The subtraction rounds too: the error of s is far above one rounding of
    // s, the offset's share is added here.
    rankings_.push_back({Shortlists(normalised.known, first_query_, last_query_,
                                    normalised.exact),
                         0x1p-22F * largest_offset});
}

void Selection::aim_at_sample(double share) {
    for (Ranking& ranking : rankings_) {
        const idx_t k = ranking.lists.k();
        // Of the best k so many are in the sample, give or take a few: too few
        // are for one query of ten thousand.
        const double mean = share * static_cast<double>(k);
        const auto aim = static_cast<idx_t>(mean + 3.5 * std::sqrt(mean) + 4);
        ranking.lists.aim_at(share < 1 ? std::min(aim, k) : k);
    }
}

void Selection::guess(const PanelRange& panels) {
    const idx_t width = queries_.shape.panel_rows;
    const idx_t first = panels.first * width;
    const idx_t last = std::min(panels.last * width, last_query_);
    for (Ranking& ranking : rankings_) {
        for (idx_t i = first; i < last; i++) ranking.lists.guess(i);
    }
}

std::unique_lock<std::mutex> Selection::hold(idx_t panel) const {
    if (!locks_) return {};
    return std::unique_lock(locks_[panel - first_panel_]);
}

Selector::Selector(Selection& selection) : selection_(selection) {
    for (auto& thresholds : thresholds_) {
        thresholds.resize(selection.queries_.shape.panel_rows);
    }
    bounds_.resize(selection.queries_.shape.panel_rows);
}

void Selector::turn_to(const ScoredTile& tile, const RowBound& gallery,
                       const float* offsets) {
    const Queries& queries = selection_.queries_;
    tile_ = tile;
    first_query_ = tile.panel * queries.shape.panel_rows;
    width_ = queries.shape.width(tile.panel);
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
    for (size_t which = 0; which < selection_.rankings_.size(); which++) {
        Selection::Ranking& ranking = selection_.rankings_[which];
        Shortlists& lists = ranking.lists;
        std::vector<float>& thresholds = thresholds_[which];
        const float error = error_of(ranking);
        bool all_known = true;
        for (idx_t i = 0; i < width_; i++) {
            const float threshold = lists.threshold(first_query_ + i);
            all_known = all_known && threshold > none;
            thresholds[i] = threshold - error;
        }
        // Without thresholds all would pass: k groups of rows give some.
        if (all_known || 2 * lists.aim() > tile_.rows || lists.k() == 0)
            continue;
        simd::column_bounds(tile_.scores, tile_.rows, width_,
                            which == 0 ? nullptr : offsets_, lists.aim(),
                            bounds_.data());
        for (idx_t i = 0; i < width_; i++) {
            lists.raise_threshold(first_query_ + i, bounds_[i] - error);
            thresholds[i] = lists.threshold(first_query_ + i) - error;
        }
    }
}

void Selector::look(idx_t first, idx_t last) {
    if (!offsets_ && selection_.raw().k() == 0) return;
    const size_t seen = places_.size();
    simd::select(tile_.scores + first * width_, last - first, width_,
                 thresholds_[0].data(), offsets_ ? offsets_ + first : nullptr,
                 thresholds_[1].data(), places_);
    for (size_t i = seen; i < places_.size(); i++) {
        places_[i].row += static_cast<std::int32_t>(first);
    }
}

void Selector::end() {
    if (places_.empty()) return;
    const auto held = selection_.hold(tile_.panel);
    for (size_t which = 0; which < selection_.rankings_.size(); which++) {
        Selection::Ranking& ranking = selection_.rankings_[which];
        add(hits_of(which), ranking.lists, error_of(ranking));
    }
}

// Of the places those that passed this ranking's threshold.
std::span<const Selector::Hit> Selector::hits_of(size_t which) {
    const float* thresholds = thresholds_[which].data();
    if (hits_.size() < places_.size()) hits_.resize(places_.size());
    size_t count = 0;
    for (const auto [row, column] : places_) {
        float score = tile_.scores[row * width_ + column];
        if (which == 1) score -= offsets_[row];
        hits_[count] = {row, column, score};
        // Nobody could foresee a branch.
        count += score < thresholds[column] ? 0 : 1;
    }
    return {hits_.data(), count};
}

void Selector::add(std::span<const Hit> hits, Shortlists& lists, float error) {
    constexpr size_t ahead = 16;
    for (size_t i = 0; i < hits.size() + ahead; i++) {
        if (i < hits.size()) lists.prefetch(first_query_ + hits[i].column);
        if (i < ahead) continue;
        const auto [row, column, score] = hits[i - ahead];
        lists.add(first_query_ + column, tile_.begin + row, score, error);
    }
}

void Selector::select_by_query(const ScoredTile& tile, const RowBound& gallery,
                               const float* offsets) {
    turn_to(tile, gallery, offsets);
    const auto held = selection_.hold(tile.panel);
    for (idx_t i = 0; i < width_; i++) {
        const idx_t query = first_query_ + i;
        const float* scores = tile.scores + i * tile.rows;
        float least[2] = {};
        for (size_t which = 0; which < selection_.rankings_.size(); which++) {
            const Selection::Ranking& ranking = selection_.rankings_[which];
            least[which] = ranking.lists.threshold(query) - error_of(ranking);
        }
        places_.clear();
        simd::select_column(scores, tile.rows, least[0], offsets, least[1],
                            places_);
        for (auto& [lists, more] : selection_.rankings_) {
            const bool raw = &lists == &selection_.raw();
            for (const auto [row, column] : places_) {
                const float score =
                    raw ? scores[row] : scores[row] - offsets[row];
                lists.add(query, tile.begin + row, score, error_ + more);
            }
        }
    }
}

}  // namespace faiss_qbnorm
