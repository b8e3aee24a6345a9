#include "cuda/merge.h"

namespace faiss_qbnorm::cuda {

std::vector<float> thresholds_of(const TopLists& lists, idx_t first_query,
                                 idx_t queries) {
    std::vector<float> thresholds(queries);
    for (idx_t i = 0; i < queries; i++) {
        thresholds[i] = lists.threshold(first_query + i);
    }
    return thresholds;
}

void merge(const Context& context, Workspace& work, Shortlist& shortlist,
           const ExactScores& exact, const Ranking& ranking) {
    Survivors& found = work.survivors;
    shortlist.finish(exact, found, work.stream());
    const auto queries = static_cast<idx_t>(found.starts.size()) - 1;
#pragma omp parallel for schedule(dynamic, 64)
    for (idx_t q = 0; q < queries; q++) {
        for (unsigned i = found.starts[q]; i < found.starts[q + 1]; i++) {
            ranking.lists.offer(ranking.first_query + q,
                                {found.scores.data()[i],
                                 ranking.chunk.label(found.rows.data()[i])});
        }
    }
    for_exact_scores(
        context, work, exact, ranking.chunk.rows, found.overflowed,
        [&](idx_t query, idx_t first, idx_t rows, const float* scores) {
            const idx_t list = ranking.first_query + query;
            for (idx_t r = 0; r < rows; r++) {
                if (scores[r] < ranking.lists.threshold(list)) continue;
                ranking.lists.offer(
                    list, {scores[r], ranking.chunk.label(first + r)});
            }
        });
}

}  // namespace faiss_qbnorm::cuda
