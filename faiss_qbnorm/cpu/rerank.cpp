#include <algorithm>
#include <cmath>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/parallel_errors.h"
#include "faiss_qbnorm/cpu/bound.h"

namespace faiss_qbnorm {

namespace {

// The raw top-1 of a list. Checks every candidate on the way.
Scored raw_top1(const CpuTable& table, idx_t query, idx_t k,
                const float* scores, const idx_t* labels) {
    Scored top1;
    for (idx_t i = 0; i < k; i++) {
        if (labels[i] == -1) continue;
        require(labels[i] >= table.begin && labels[i] < table.end, "row ",
                query, " holds label ", labels[i],
                " but the table covers labels ", table.begin, " to ",
                table.end - 1);
        require(std::isfinite(scores[i]), "row ", query,
                " holds a score of NaN or Inf for label ", labels[i]);
        const Scored item{scores[i], labels[i]};
        if (top1.label < 0 || ranks_before(item, top1)) top1 = item;
    }
    return top1;
}

}  // namespace

void cpu_rerank(const CpuTable& table, Method method,
                const Candidates& candidates, idx_t k, const Answers& answers) {
    ParallelErrors errors;
#pragma omp parallel for schedule(static)
    for (idx_t query = 0; query < candidates.nq; query++) {
        errors.run([&] {
            const float* scores = candidates.scores + query * candidates.k;
            const idx_t* labels = candidates.labels + query * candidates.k;
            const Scored top1 = raw_top1(table, candidates.first_row + query,
                                         candidates.k, scores, labels);
            const bool open = gate_opens(
                method, top1.label >= 0 && table.column.activation.contains(
                                               top1.label - table.begin));
            TopLists best(1, std::min(k, candidates.k));
            for (idx_t i = 0; i < candidates.k; i++) {
                if (labels[i] == -1) continue;
                const float offset =
                    open ? table.column.offsets[labels[i] - table.begin] : 0;
                best.offer(0, {scores[i] - offset, labels[i]});
            }
            answers.write(query, k, best, 0);
        });
    }
    errors.rethrow();
}

}  // namespace faiss_qbnorm
