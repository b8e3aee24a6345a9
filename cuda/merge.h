#pragma once

#include "cuda/bound.h"
#include "cuda/shortlist.h"

namespace faiss_qbnorm::cuda {

/// One ranking of a chunk for a panel of queries, whose first has the list
/// `first_query`.
struct Ranking {
    const Chunk& chunk;
    idx_t first_query;
    TopLists& lists;
};

/// What of the chunk may belong to a query's best at all: the thresholds that
/// a shortlist begins with.
std::vector<float> thresholds_of(const TopLists& lists, idx_t first_query,
                                 idx_t queries);

/// Offers what a shortlist found to the lists.
void offer_survivors(const Survivors& found, const Ranking& ranking);

/// Where a shortlist was too short for a query, scores all of the chunk for it
/// exactly: slow, and right for any number of ties.
void offer_all_to_overflowed(const Context& context, Workspace& work,
                             const Survivors& found, const ExactScores& exact,
                             const Ranking& ranking);

/// Calls visit(query, first row, rows, scores) with the exact scores of all of
/// the chunk's rows for each of `queries`, in pieces; queries at once in
/// several threads.
template <class Visit>
void for_exact_scores(const Context& context, Workspace& work,
                      const ExactScores& exact, idx_t rows,
                      std::span<const std::uint32_t> queries, Visit visit) {
    const idx_t most = context.tiles.exact_scores;
    constexpr idx_t most_queries = 4096;
    const idx_t step = std::min(rows, most);
    const idx_t batch = std::clamp<idx_t>(most / step, 1, most_queries);
    for (idx_t q = 0; q < static_cast<idx_t>(queries.size()); q += batch) {
        const auto some = queries.subspan(
            q, std::min(batch, static_cast<idx_t>(queries.size()) - q));
        for (idx_t first = 0; first < rows; first += step) {
            const idx_t n = std::min(step, rows - first);
            const float* scores = exact_scores(
                exact, some, first, n, work.exact, work.exact_on_host,
                work.exact_queries, work.stream());
#pragma omp parallel for schedule(dynamic)
            for (idx_t i = 0; i < static_cast<idx_t>(some.size()); i++) {
                visit(some[i], first, n, scores + i * n);
            }
        }
    }
}

}  // namespace faiss_qbnorm::cuda
