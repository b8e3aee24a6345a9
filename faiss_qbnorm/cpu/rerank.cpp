#include <omp.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/parallel_errors.h"
#include "faiss_qbnorm/cpu/bound.h"
#include "faiss_qbnorm/cpu/survivors.h"

namespace faiss_qbnorm {

namespace {

/// One thread's share of the lists. Offsets lie anywhere in a table of
/// gigabytes, so they are asked for some lists before they are needed.
class Reranker {
  public:
    Reranker(const CpuTable& table, Method method, const Candidates& candidates,
             idx_t k, const Answers& answers)
        : table_(table),
          method_(method),
          candidates_(candidates),
          k_(k),
          answers_(answers),
          // Few enough to stay in cache, enough to hide the memory's latency.
          ahead_(std::clamp<idx_t>(in_flight / std::max<idx_t>(size(), 1), 1,
                                   most_ahead)),
          differences_(padded(size())) {}

    void run(idx_t begin, idx_t end) {
        for (idx_t i = begin; i < end + ahead_; i++) {
            if (i < end) look(i);
            if (i - ahead_ >= begin) rank(i - ahead_);
        }
    }

  private:
    static constexpr idx_t in_flight = 256;
    static constexpr idx_t most_ahead = 16;
    static constexpr idx_t ring = 2 * most_ahead;  // lists under way, and more
    static constexpr idx_t prefetched_at_once = 4096;
    static constexpr float nothing = -std::numeric_limits<float>::infinity();

    idx_t size() const { return candidates_.k; }
    static idx_t padded(idx_t n) { return (n + 15) / 16 * 16; }
    const float* scores(idx_t list) const {
        return candidates_.scores + list * size();
    }
    const idx_t* labels(idx_t list) const {
        return candidates_.labels + list * size();
    }
    bool is_in_table(idx_t label) const {
        return label >= table_.begin && label < table_.end;
    }
    const float* offset(idx_t label) const {
        return table_.offsets.data() + (label - table_.begin);
    }

    // Checks a list, decides its gate and asks for its offsets.
    void look(idx_t list) {
        const float* score = scores(list);
        const idx_t* label = labels(list);
        int bad = 0;  // without a branch
        Scored top1;
        for (idx_t i = 0; i < size(); i++) {
            const bool empty = label[i] == -1;
            bad |= int{!empty} & (int{!is_in_table(label[i])} |
                                  int{!std::isfinite(score[i])});
            if (empty || score[i] < top1.score) continue;
            const Scored item{score[i], label[i]};
            if (top1.label < 0 || ranks_before(item, top1)) top1 = item;
        }
        if (bad != 0) refuse(list);
        const bool open = gate_opens(
            method_, top1.label >= 0 && table_.column.activation.contains(
                                            top1.label - table_.begin));
        open_[list % ring] = open;
        if (!open || size() > prefetched_at_once) return;
        for (idx_t i = 0; i < size(); i++) prefetch(label[i]);
    }

    void prefetch(idx_t label) const {
        if (label >= 0) __builtin_prefetch(offset(label));
    }

    [[noreturn]] void refuse(idx_t list) const {
        const idx_t row = candidates_.first_row + list;
        for (idx_t i = 0;; i++) {
            const idx_t label = labels(list)[i];
            if (label == -1) continue;
            require(is_in_table(label), "row ", row, " holds label ", label,
                    " but the table covers labels ", table_.begin, " to ",
                    table_.end - 1);
            require(std::isfinite(scores(list)[i]), "row ", row,
                    " holds a score of NaN or Inf for label ", label);
        }
    }

    void rank(idx_t list) {
        subtract(list, open_[list % ring]);
        const idx_t* label = labels(list);
        const float least = threshold();
        best_.clear();
        for_each_survivor(
            size(), [&](idx_t i) { return differences_[i] >= least; },
            [&](idx_t i) {
                if (label[i] >= 0) best_.push_back({differences_[i], label[i]});
            });
        const auto kept = std::min<idx_t>(k_, static_cast<idx_t>(best_.size()));
        std::partial_sort(best_.begin(), best_.begin() + kept, best_.end(),
                          ranks_before);
        for (idx_t i = 0; i < k_; i++) {
            const Scored item = i < kept ? best_[i] : Scored{};
            answers_.scores[list * k_ + i] = item.score;
            answers_.labels[list * k_ + i] = item.label;
        }
    }

    // What the list ranks by, into differences_.
    void subtract(idx_t list, bool open) {
        const float* score = scores(list);
        const idx_t* label = labels(list);
        for (idx_t i = 0; i < size(); i++) {
            if (open && size() > prefetched_at_once) {
                prefetch(label[std::min(i + in_flight / 4, size() - 1)]);
            }
            const float less = open && label[i] >= 0 ? *offset(label[i]) : 0;
            differences_[i] = label[i] >= 0 ? score[i] - less : nothing;
        }
    }

    // At least k of the list are no less: the k-th largest of the maxima of
    // many small groups.
    float threshold() {
        const idx_t groups = padded(2 * k_);
        if (groups == 0 || groups * 2 > size()) return nothing;
        group_maxima_.assign(differences_.begin(),
                             differences_.begin() + groups);
        idx_t first = groups;
        for (; first + groups <= size(); first += groups) {
            const float* row = differences_.data() + first;
            float* maxima = group_maxima_.data();
            for (idx_t i = 0; i < groups; i++) {
                maxima[i] = row[i] > maxima[i] ? row[i] : maxima[i];
            }
        }
        for (idx_t i = first; i < size(); i++) {
            float& maximum = group_maxima_[i - first];
            maximum = std::max(maximum, differences_[i]);
        }
        std::nth_element(group_maxima_.begin(), group_maxima_.begin() + k_ - 1,
                         group_maxima_.end(), std::greater<>());
        return group_maxima_[k_ - 1];
    }

    const CpuTable& table_;
    const Method method_;
    const Candidates& candidates_;
    const idx_t k_;
    const Answers& answers_;
    const idx_t ahead_;
    bool open_[ring] = {};
    std::vector<float> differences_;
    std::vector<float> group_maxima_;
    std::vector<Scored> best_;
};

}  // namespace

void cpu_rerank(const CpuTable& table, Method method,
                const Candidates& candidates, idx_t k, const Answers& answers) {
    ParallelErrors errors;
#pragma omp parallel
    errors.run([&] {
        const idx_t threads = omp_get_num_threads();
        const idx_t thread = omp_get_thread_num();
        const idx_t begin = candidates.nq * thread / threads;
        const idx_t end = candidates.nq * (thread + 1) / threads;
        if (begin == end) return;
        Reranker(table, method, candidates, k, answers).run(begin, end);
    });
    errors.rethrow();
}

}  // namespace faiss_qbnorm
