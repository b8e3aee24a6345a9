#include "cuda/merge.h"

#include "faiss_qbnorm/core/parallel_errors.h"

namespace faiss_qbnorm::cuda {

std::vector<float> thresholds_of(const TopLists& lists, idx_t first_query,
                                 idx_t queries) {
    std::vector<float> thresholds(queries);
    for (idx_t i = 0; i < queries; i++) {
        thresholds[i] = lists.threshold(first_query + i);
    }
    return thresholds;
}

void offer_survivors(const Survivors& found, const Ranking& ranking) {
    const auto queries = static_cast<idx_t>(found.starts.size()) - 1;
    ParallelErrors errors;
#pragma omp parallel
    {
        std::vector<Scored> offered;
#pragma omp for schedule(dynamic, 64)
        for (idx_t q = 0; q < queries; q++) {
            errors.run([&] {
                offered.clear();
                for (unsigned i = found.starts[q]; i < found.starts[q + 1];
                     i++) {
                    offered.push_back(
                        {found.scores.data()[i],
                         ranking.chunk.label(found.rows.data()[i])});
                }
                ranking.lists.offer_all(ranking.first_query + q, offered);
            });
        }
    }
    errors.rethrow();
}

void offer_all_to_overflowed(const Context& context, Workspace& work,
                             const Survivors& found, const ExactScores& exact,
                             const Ranking& ranking) {
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
