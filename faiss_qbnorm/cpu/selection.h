#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "faiss_qbnorm/cpu/shortlists.h"

namespace faiss_qbnorm {

/// A tile's scores: `rows` gallery rows from `begin` of the block x the queries
/// of a panel.
struct ScoredTile {
    const float* scores;
    idx_t rows;
    idx_t begin;
    idx_t panel;
};

/// Panels [first, last) of some queries.
struct PanelRange {
    idx_t first;
    idx_t last;
};

/// Who looks for the best, and what is known of them.
struct Wanted {
    const TopLists& known;
    const ExactScores& exact;
};

/// The best items of some queries over one block, by raw scores and, with a
/// table, by normalised ones. Selectors feed it.
class Selection {
  public:
    /// With `shared`, Selectors of many threads may feed it at once.
    Selection(const Queries& queries, const PanelRange& panels,
              const Wanted& raw, bool shared);

    /// Looks for normalised scores, too.
    void add_normalised(const Wanted& normalised, float largest_offset);

    /// Shortlists' aim_at, of a sample that is this share of the block (1: all
    /// of it), and guess, of the queries of some panels.
    void aim_at_sample(double share);
    void guess(const PanelRange& panels);

    const Shortlists& raw() const { return rankings_[0].lists; }
    const Shortlists& normalised() const { return rankings_[1].lists; }

  private:
    friend class Selector;

    struct Ranking {
        Shortlists lists;
        float more_error;  ///< beyond that of raw scores
    };

    /// A panel, where threads share it: one of them adds at a time.
    std::unique_lock<std::mutex> hold(idx_t panel) const;

    const Queries& queries_;
    idx_t first_panel_;
    idx_t first_query_;
    idx_t last_query_;
    std::vector<Ranking> rankings_;        // raw, normalised
    std::unique_ptr<std::mutex[]> locks_;  // a panel's
};

/// One thread's way to a Selection.
class Selector {
  public:
    explicit Selector(Selection& selection);

    /// Turns to a tile whose rows `gallery` covers; offsets are of them, null
    /// without a table.
    void begin(const ScoredTile& tile, const RowBound& gallery,
               const float* offsets = nullptr);
    /// Looks at rows [first, last) of the tile.
    void look(idx_t first, idx_t last);
    /// Hands over what passed.
    void end();

    /// All three of a tile that lies query by query.
    void select_by_query(const ScoredTile& tile, const RowBound& gallery,
                         const float* offsets);

  private:
    /// A place that passed a ranking's threshold.
    struct Hit {
        std::int32_t row;
        std::int32_t column;
        float score;
    };

    void turn_to(const ScoredTile& tile, const RowBound& gallery,
                 const float* offsets);
    float error_of(const Selection::Ranking& ranking) const {
        return error_ + ranking.more_error;
    }
    void set_thresholds();
    std::span<const Hit> hits_of(size_t which);
    void add(std::span<const Hit> hits, Shortlists& lists, float error);

    Selection& selection_;
    ScoredTile tile_{};
    idx_t first_query_ = 0;  // of the tile
    idx_t width_ = 0;
    const float* offsets_ = nullptr;
    float error_ = 0;  // of raw scores
    std::vector<float> thresholds_[2];
    std::vector<float> bounds_;
    std::vector<simd::Place> places_;
    std::vector<Hit> hits_;
};

}  // namespace faiss_qbnorm
