#pragma once

#include <span>
#include <vector>

#include "faiss_qbnorm/cpu/selection.h"
#include "faiss_qbnorm/engine.h"

namespace faiss_qbnorm {

/// Makes lists of what was selected of a block, a query at a time: one thread's
/// work.
class Settler {
  public:
    /// `normalised` is null without a table. With a gate, which needs a table,
    /// what it makes needless is left out.
    Settler(const ExactScores& raw, const ExactScores* normalised,
            const Gate* gate)
        : raw_{&raw, {}, 0, false},
          normalised_{normalised, {}, 0, false},
          gate_(gate) {}

    /// Offers the best of the query's contenders in `selections`, which have
    /// seen a part of the block each. False, and nothing is offered, where a
    /// guess may have kept some out.
    bool settle(idx_t query, std::span<const Selection* const> selections,
                TopLists& raw_list, TopLists* normalised_list);

  private:
    /// Contenders of one ranking.
    struct Field {
        const ExactScores* exact;
        std::vector<Contender> contenders;
        float guess;
        bool failed;  ///< the guess, for certain
    };

    void gather(idx_t query, std::span<const Selection* const> selections);
    Contender exact_best(idx_t query);
    static bool is_complete(const Field& field, idx_t k);
    void take_over_raw_scores();
    void offer(const Field& field, idx_t query, TopLists& list);

    Field raw_;
    Field normalised_;
    const Gate* gate_;
    std::vector<Scored> offered_;
};

}  // namespace faiss_qbnorm
