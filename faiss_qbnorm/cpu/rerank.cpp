#include <omp.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/parallel_errors.h"
#include "faiss_qbnorm/cpu/bound.h"
#include "faiss_qbnorm/cpu/simd_rerank.h"

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
          lead_(is_long() ? 0 : std::clamp<idx_t>(64 / size_or_one(), 1, 8)),
          ahead_(is_long() ? 0
                           : std::clamp<idx_t>(in_flight / size_or_one(), 1,
                                               most_ahead)),
          differences_(padded(size())),
          places_(std::max(size(), simd::most_ranked) + simd::more_places) {}

    void run(idx_t begin, idx_t end) {
        for (idx_t i = begin; i < end + lead_ + ahead_; i++) {
            const idx_t decided = i - lead_;
            const idx_t ranked = decided - ahead_;
            if (i < end) look(i);
            if (decided >= begin && decided < end) decide(decided);
            if (ranked >= begin) rank(ranked);
            ask(size());
        }
    }

  private:
    static constexpr idx_t in_flight = 256;
    static constexpr idx_t most_ahead = 16;
    static constexpr idx_t ring = 2 * most_ahead;  // lists under way, and more
    static constexpr idx_t step = 64;
    static constexpr float nothing = -std::numeric_limits<float>::infinity();

    idx_t size() const { return candidates_.k; }
    idx_t size_or_one() const { return std::max<idx_t>(size(), 1); }
    // So long that its own beginning is work enough to hide its end.
    bool is_long() const { return size() > 2048; }
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

    // Checks a list and asks for what its gate depends on.
    void look(idx_t list) {
        const auto [bad, top1] =
            simd::look_at_list(scores(list), labels(list), size(), table_.begin,
                               table_.end, is_gated(method_));
        if (bad) refuse(list);
        top1_[list % ring] = top1;
        if (method_ == Method::dis && top1 >= 0) {
            __builtin_prefetch(table_.column.activation.words().data() +
                               (top1 - table_.begin) / 64);
        }
    }

    // Decides a list's gate and begins to ask for its offsets.
    void decide(idx_t list) {
        const idx_t top1 = top1_[list % ring];
        const bool active =
            method_ == Method::dis && top1 >= 0 &&
            table_.column.activation.contains(top1 - table_.begin);
        const bool open = gate_opens(method_, active);
        open_[list % ring] = open;
        asked_ = labels(list);
        asked_end_ = open ? asked_ + size() : asked_;
        ask(std::min(size() / 4, in_flight));
    }

    // Asks for the offsets of the next `count` candidates of the list looked
    // at: a few at a time between other work, for a processor waits where more
    // are under way than it can track.
    void ask(idx_t count) {
        const idx_t* end = asked_ + std::min<idx_t>(count, asked_end_ - asked_);
        for (; asked_ < end; asked_++) {
            if (*asked_ >= 0) __builtin_prefetch(offset(*asked_));
        }
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
        if (k_ <= simd::most_best) {
            rank_few(list);
        } else {
            rank_many(list);
        }
    }

    // What the list ranks by, into differences_.
    void subtract(idx_t list, bool open) {
        const float* score = scores(list);
        const idx_t* label = labels(list);
        if (!open) {
            simd::copy_scores(score, label, size(), differences_.data());
            return;
        }
        for (idx_t i = 0; i < size(); i += step) {
            simd::subtract_offsets(
                score + i, label + i, std::min(step, size() - i),
                table_.offsets.data(), table_.begin, differences_.data() + i);
            ask(is_long() ? step : step / 2);
        }
    }

    // Where few are wanted, few contend, and vectors rank them.
    void rank_few(idx_t list) {
        const idx_t* label = labels(list);
        const idx_t found = k_ == 0
                                ? 0
                                : simd::contenders(differences_.data(), size(),
                                                   k_, places_.data());
        ask(size() / 4);
        best_.clear();
        values_.clear();
        for (idx_t i = 0; i < found; i++) {
            const std::int32_t place = places_[i];
            if (label[place] < 0) continue;
            best_.push_back({differences_[place], label[place]});
            values_.push_back(differences_[place]);
        }
        const auto n = static_cast<idx_t>(best_.size());
        if (n > simd::most_ranked ||
            !simd::rank(values_.data(), n, places_.data())) {
            write(list);  // many contend, or some are level
            return;
        }
        fill(list, std::min(n, k_));
        for (idx_t i = 0; i < n; i++) {
            if (places_[i] >= k_) continue;
            answers_.scores[list * k_ + places_[i]] = best_[i].score;
            answers_.labels[list * k_ + places_[i]] = best_[i].label;
        }
    }

    void rank_many(idx_t list) {
        const idx_t* label = labels(list);
        const float least = threshold();
        best_.clear();
        for (idx_t i = 0; i < size(); i++) {
            if (differences_[i] >= least && label[i] >= 0) {
                best_.push_back({differences_[i], label[i]});
            }
        }
        write(list);
    }

    // The best of best_.
    void write(idx_t list) {
        const auto kept = std::min<idx_t>(k_, static_cast<idx_t>(best_.size()));
        std::partial_sort(best_.begin(), best_.begin() + kept, best_.end(),
                          ranks_before);
        for (idx_t i = 0; i < kept; i++) {
            answers_.scores[list * k_ + i] = best_[i].score;
            answers_.labels[list * k_ + i] = best_[i].label;
        }
        fill(list, kept);
    }

    // Answers from the `from`-th on are none.
    void fill(idx_t list, idx_t from) {
        for (idx_t i = list * k_ + from; i < (list + 1) * k_; i++) {
            answers_.scores[i] = Scored{}.score;
            answers_.labels[i] = Scored{}.label;
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
    const idx_t lead_;   // lists from a look to its gate
    const idx_t ahead_;  // and from there to the ranking
    idx_t top1_[ring] = {};
    bool open_[ring] = {};
    const idx_t* asked_ = nullptr;
    const idx_t* asked_end_ = nullptr;
    std::vector<float> differences_;
    std::vector<float> group_maxima_;
    std::vector<std::int32_t> places_;
    std::vector<Scored> best_;
    std::vector<float> values_;
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
