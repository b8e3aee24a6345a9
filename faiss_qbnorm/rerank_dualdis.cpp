#include "faiss_qbnorm/rerank_dualdis.h"

#include <algorithm>
#include <cmath>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/method_scores.h"
#include "faiss_qbnorm/core/parallel_errors.h"

namespace faiss_qbnorm {

namespace {

// Its raw top-1's label, ties to the lower; -1 where all slots are empty.
idx_t check_list(const Candidates& candidates, idx_t list, idx_t items) {
    Scored top1;
    for (idx_t i = list * candidates.k; i < (list + 1) * candidates.k; i++) {
        const Scored item{candidates.scores[i], candidates.labels[i]};
        if (item.label == -1) continue;
        const idx_t row = candidates.first_row + list;
        require(item.label >= 0 && item.label < items, "row ", row,
                " holds label ", item.label,
                " but the table covers labels 0 to ", items - 1);
        require(std::isfinite(item.score), "row ", row,
                " holds a score of NaN or Inf for label ", item.label);
        if (top1.label < 0 || ranks_before(item, top1)) top1 = item;
    }
    return top1.label;
}

struct Keyed {
    double key;
    idx_t label;

    bool operator<(const Keyed& other) const {
        return key > other.key || (key == other.key && label < other.label);
    }
};

}  // namespace

void rerank_dualdis(const NormTable& table, const Candidates& candidates,
                    idx_t k, const Answers& answers, std::uint8_t* open_gates) {
    MethodScores scores({Method::dualdis, &table}, table.size());
    std::vector<idx_t> top1(candidates.nq);
    ParallelErrors errors;
#pragma omp parallel for
    for (idx_t list = 0; list < candidates.nq; list++) {
        errors.run(
            [&] { top1[list] = check_list(candidates, list, table.size()); });
    }
    errors.rethrow();
    scores.decide_gates(top1);
#pragma omp parallel for
    for (idx_t list = 0; list < candidates.nq; list++) {
        errors.run([&] {
            if (open_gates) {
                open_gates[list] =
                    static_cast<std::uint8_t>(scores.open_gates(list));
            }
            std::vector<Keyed> items;
            for (idx_t i = list * candidates.k; i < (list + 1) * candidates.k;
                 i++) {
                const idx_t label = candidates.labels[i];
                if (label < 0) continue;
                items.push_back(
                    {scores.key(list, label, candidates.scores[i], 0), label});
            }
            const auto kept =
                std::min<idx_t>(k, static_cast<idx_t>(items.size()));
            std::partial_sort(items.begin(), items.begin() + kept, items.end());
            for (idx_t i = 0; i < k; i++) {
                const idx_t slot = list * k + i;
                const bool empty = i >= kept;
                answers.scores[slot] =
                    empty ? Scored{}.score : scores.answer(list, items[i].key);
                answers.labels[slot] = empty ? Scored{}.label : items[i].label;
            }
        });
    }
    errors.rethrow();
}

}  // namespace faiss_qbnorm
