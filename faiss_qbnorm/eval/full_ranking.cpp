#include "faiss_qbnorm/eval/full_ranking.h"

#include <algorithm>
#include <limits>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/engine.h"

namespace faiss_qbnorm {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// A Scored of more digits: a rank must not swallow what a score says.
struct Keyed {
    double score = -infinity;
    idx_t label = -1;
};

bool ranks_before(const Keyed& a, const Keyed& b) {
    return a.score > b.score || (a.score == b.score && a.label < b.label);
}

/// What one method says so far.
struct Running {
    MethodScores scores;
    BasicTopLists<Keyed> best;
    std::vector<double> target_keys;  // of the best right item
    std::vector<RankCount> counts;    // around it

    bool needs_bank() const { return scores.method() == Method::gc; }
};

// Queries that one thread works on at a time.
constexpr idx_t strip = 256;

/// Similarities of items [begin, end).
struct Block {
    const float* scores;
    float* bank;  // where gc needs it
    idx_t begin;
    idx_t end;
};

class Ranker {
  public:
    Ranker(const Similarities& queries, std::span<const TabledMethod> methods,
           const RankOptions& options)
        : queries_(queries),
          options_(options),
          nq_(queries.rows()),
          raw_top1_(nq_),
          target_scores_(options.targets.size()),
          target_ranks_(options.targets.size()) {
        check_targets();
        for (const TabledMethod& method : methods) {
            running_.push_back({MethodScores(method, queries.items()),
                                BasicTopLists<Keyed>(nq_, options.k),
                                {},
                                std::vector<RankCount>(nq_)});
            gated_ = gated_ || is_gated(method.method);
            if (method.method == Method::gc) check_bank();
        }
    }

    std::vector<FullRanking> run() {
        const bool has_targets = !options_.targets.empty();
        if (gated_ || has_targets) {
            for_each_block(has_targets && needs_bank_,
                           [&](const Block& block) { look_first(block); });
        }
        settle();
        for_each_block(needs_bank_, [&](const Block& block) {
            if (needs_bank_) sort_items(block);
            rank(block);
        });
        std::vector<FullRanking> results;
        for (const Running& method : running_) {
            results.push_back(result_of(method));
        }
        return results;
    }

  private:
    void check_targets() const {
        const auto targets = options_.targets;
        if (targets.empty()) return;
        require(nq_ > 0 && static_cast<idx_t>(targets.size()) % nq_ == 0,
                "there are ", targets.size(), " right items for ", nq_,
                " queries; give each query as many, padded with -1");
        for (size_t i = 0; i < targets.size(); i++) {
            require(targets[i] >= -1 && targets[i] < queries_.items(),
                    "a right item of query ", i / per_query(), " is ",
                    targets[i], " but ", queries_.name(), " has ",
                    queries_.items(), " items");
        }
    }

    void check_bank() {
        const Similarities* bank = options_.querybank;
        require(bank, "gc needs the similarities of a querybank");
        require(bank->items() == queries_.items(), bank->name(), ": has ",
                bank->items(), " items but ", queries_.name(), " has ",
                queries_.items());
        require(bank->rows() > 0, bank->name(), ": the bank is empty");
        needs_bank_ = true;
    }

    idx_t per_query() const {
        return static_cast<idx_t>(options_.targets.size()) / nq_;
    }

    template <class Visit>
    void for_each_block(bool with_bank, const Visit& visit) const {
        const idx_t items = queries_.items();
        idx_t step = std::min(block_items(queries_), items);
        if (with_bank) step = std::min(step, block_items(*options_.querybank));
        std::vector<float> scores(step * nq_);
        std::vector<float> bank(with_bank ? step * bank_rows() : 0);
        for (idx_t begin = 0; begin < items; begin += step) {
            const idx_t end = std::min(begin + step, items);
            queries_.read(begin, end, scores.data());
            if (with_bank) options_.querybank->read(begin, end, bank.data());
            visit(Block{scores.data(), bank.data(), begin, end});
        }
    }

    idx_t bank_rows() const { return options_.querybank->rows(); }

    // Of every item the bank's scores, the least first.
    void sort_items(const Block& block) const {
        const idx_t rows = bank_rows();
#pragma omp parallel for schedule(dynamic)
        for (idx_t i = 0; i < block.end - block.begin; i++) {
            std::sort(block.bank + i * rows, block.bank + (i + 1) * rows);
        }
    }

    // How many bank queries score an item, by its place in the block, higher.
    idx_t rank_in_sorted(const Block& block, idx_t item, float s) const {
        const float* first = block.bank + item * bank_rows();
        const float* last = first + bank_rows();
        return last - std::upper_bound(first, last, s);
    }

    idx_t rank_in_unsorted(const Block& block, idx_t item, float s) const {
        const float* first = block.bank + item * bank_rows();
        return std::count_if(first, first + bank_rows(),
                             [&](float p) { return p > s; });
    }

    // Raw top-1 and the scores of the right items.
    void look_first(const Block& block) {
        const idx_t m = options_.targets.empty() ? 0 : per_query();
#pragma omp parallel for
        for (idx_t q0 = 0; q0 < nq_; q0 += strip) {
            const idx_t q1 = std::min(q0 + strip, nq_);
            for (idx_t i = block.begin; i < block.end; i++) {
                const float* scores = block.scores + (i - block.begin) * nq_;
                for (idx_t q = q0; q < q1; q++) {
                    // Labels ascend: a later item that is level ranks after.
                    const bool better = raw_top1_[q].label < 0 ||
                                        scores[q] > raw_top1_[q].score;
                    if (better) raw_top1_[q] = {scores[q], i};
                }
            }
            for (idx_t t = q0 * m; t < q1 * m; t++) {
                const idx_t item = options_.targets[t] - block.begin;
                if (item < 0 || item >= block.end - block.begin) continue;
                const float s = block.scores[item * nq_ + t / m];
                target_scores_[t] = s;
                if (needs_bank_) {
                    target_ranks_[t] = rank_in_unsorted(block, item, s);
                }
            }
        }
    }

    // Decides gates, and which right item scores highest.
    void settle() {
        std::vector<idx_t> top1;
        top1.reserve(nq_);
        for (const Scored& item : raw_top1_) top1.push_back(item.label);
        for (Running& method : running_) {
            method.scores.decide_gates(top1);
            if (options_.targets.empty()) continue;
            method.target_keys.assign(nq_, -infinity);
            for (size_t t = 0; t < options_.targets.size(); t++) {
                const idx_t label = options_.targets[t];
                const idx_t query = static_cast<idx_t>(t) / per_query();
                if (label < 0) continue;
                double& best = method.target_keys[query];
                best = std::max(
                    best, method.scores.key(query, label, target_scores_[t],
                                            target_ranks_[t]));
            }
        }
    }

    void rank(const Block& block) {
#pragma omp parallel for schedule(dynamic)
        for (idx_t q0 = 0; q0 < nq_; q0 += strip) {
            const idx_t q1 = std::min(q0 + strip, nq_);
            for (Running& method : running_) {
                for (idx_t i = block.begin; i < block.end; i++) {
                    rank_item(block, i, q0, q1, method);
                }
            }
        }
    }

    void rank_item(const Block& block, idx_t label, idx_t q0, idx_t q1,
                   Running& method) const {
        const idx_t item = label - block.begin;
        const float* scores = block.scores + item * nq_;
        const bool counts = !options_.targets.empty();
        for (idx_t q = q0; q < q1; q++) {
            const idx_t rank = method.needs_bank()
                                   ? rank_in_sorted(block, item, scores[q])
                                   : 0;
            const double key = method.scores.key(q, label, scores[q], rank);
            if (counts) {
                method.counts[q].before += key > method.target_keys[q];
                method.counts[q].level += key == method.target_keys[q];
            }
            if (!(key < method.best.threshold(q))) {
                method.best.offer(q, {key, label});
            }
        }
    }

    FullRanking result_of(const Running& method) const {
        FullRanking result;
        result.labels.assign(nq_ * options_.k, Scored{}.label);
        result.scores.assign(nq_ * options_.k, Scored{}.score);
        for (idx_t q = 0; q < nq_; q++) {
            result.open.push_back(method.scores.open(q) ? 1 : 0);
            idx_t slot = q * options_.k;
            for (const Keyed& item : method.best.sorted(q)) {
                result.labels[slot] = item.label;
                result.scores[slot++] = method.scores.answer(q, item.score);
            }
            if (options_.targets.empty()) continue;
            const RankCount& count = method.counts[q];
            result.target_ranks.push_back(
                method.target_keys[q] == -infinity
                    ? infinity
                    : static_cast<double>(count.before) +
                          static_cast<double>(count.level - 1) / 2);
        }
        return result;
    }

    const Similarities& queries_;
    const RankOptions& options_;
    const idx_t nq_;
    bool gated_ = false;
    bool needs_bank_ = false;
    std::vector<Running> running_;
    std::vector<Scored> raw_top1_;
    std::vector<float> target_scores_;  // of options_.targets
    std::vector<idx_t> target_ranks_;   // in the bank, for gc
};

}  // namespace

std::vector<FullRanking> rank_all(const Similarities& queries,
                                  std::span<const TabledMethod> methods,
                                  const RankOptions& options) {
    return Ranker(queries, methods, options).run();
}

}  // namespace faiss_qbnorm
