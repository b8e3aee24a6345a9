#include "faiss_qbnorm/tune/rank_unlabelled.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "faiss_qbnorm/core/activation_set.h"
#include "faiss_qbnorm/core/parallel_errors.h"
#include "faiss_qbnorm/cpu/simd.h"
#include "faiss_qbnorm/tune/tile.h"

namespace faiss_qbnorm {

namespace {

/// Some columns of a tile, in the order named.
void gather(const Tile& tile, std::span<const idx_t> columns, Tile& out) {
    out.items = tile.items;
    out.columns = static_cast<idx_t>(columns.size());
    out.scores.resize(out.items * out.columns);
#pragma omp parallel for
    for (idx_t i = 0; i < out.items; i++) {
        const float* from = tile.scores.data() + i * tile.columns;
        float* to = out.scores.data() + i * out.columns;
        for (idx_t c = 0; c < out.columns; c++) to[c] = from[columns[c]];
    }
}

/// Rows of the bank that are summed together: one split's, or the others'.
using Part = std::pair<idx_t, idx_t>;

/// The sums of one item's parts at one beta.
void sum_parts(const float* scores, std::span<const Part> parts, float beta,
               std::span<const float> shifts, std::span<LogMeanExp> sums) {
    constexpr std::uint8_t fine = 1;
    for (size_t p = 0; p < parts.size(); p++) {
        const auto [begin, end] = parts[p];
        simd::ExpSums tile;
        simd::exp_sums(scores + begin, 1, end - begin, beta, &shifts[p], &fine,
                       &tile);
        sums[p] = {shifts[p]};
        sums[p].add(tile.expm1, tile.exp, static_cast<double>(end - begin));
    }
}

/// The offset by all parts but `excluded` (-1: none).
float offset_without(std::span<const LogMeanExp> parts, idx_t excluded,
                     double beta) {
    LogMeanExp total{-std::numeric_limits<double>::infinity()};
    const auto included = [&](size_t p) {
        return static_cast<idx_t>(p) != excluded;
    };
    for (size_t p = 0; p < parts.size(); p++) {
        if (included(p)) total.shift = std::max(total.shift, parts[p].shift);
    }
    for (size_t p = 0; p < parts.size(); p++) {
        if (!included(p)) continue;
        LogMeanExp part = parts[p];
        part.raise_shift(total.shift, beta);
        total.add(part.sum_expm1, part.sum_exp, part.count);
    }
    return static_cast<float>(total.is_offset(beta));
}

/// The lists of one split's queries as they grow.
struct Split {
    idx_t excluded = -1;  ///< the part that does not normalise
    Tile tile;            ///< its queries' similarities with the block
    TopLists raw;
    std::vector<TopLists> is;

    Split(idx_t excluded, idx_t nq, idx_t depth, size_t betas)
        : excluded(excluded), raw(nq, depth), is(betas, TopLists(nq, depth)) {}
};

class Ranker {
  public:
    Ranker(std::vector<Part> parts, std::span<const float> betas,
           std::vector<Split> splits, TopLists winners)
        : parts_(std::move(parts)),
          betas_(betas),
          splits_(std::move(splits)),
          winners_(std::move(winners)) {}

    std::vector<Split>& splits() { return splits_; }

    /// `bank`: the bank's similarities with the items from `begin` on.
    void add(const Tile& bank, idx_t begin) {
        find_offsets(bank);
        std::vector<std::function<void()>> tasks;
        tasks.emplace_back([&] { offer(bank, begin, nullptr, winners_); });
        for (size_t s = 0; s < splits_.size(); s++) {
            Split& split = splits_[s];
            tasks.emplace_back(
                [&] { offer(split.tile, begin, nullptr, split.raw); });
            for (size_t b = 0; b < betas_.size(); b++) {
                tasks.emplace_back([&, s, b] {
                    offer(split.tile, begin, offsets(s, b, bank.items),
                          split.is[b]);
                });
            }
        }
        ParallelErrors errors;
#pragma omp parallel for schedule(dynamic, 1)
        for (const auto& task : tasks) errors.run(task);
        errors.rethrow();
    }

    std::vector<UnlabelledRankings> finish(idx_t items) const {
        std::vector<UnlabelledRankings> result;
        for (const Split& split : splits_) {
            UnlabelledRankings rankings;
            rankings.raw = RankedLabels(split.raw);
            for (const TopLists& lists : split.is) {
                rankings.is.emplace_back(lists);
            }
            const ActivationSet activation = activation_of(split, items);
            for (idx_t q = 0; q < split.raw.rows(); q++) {
                const idx_t first = rankings.raw.row(q)[0];
                rankings.open.push_back(activation.contains(first) ? 1 : 0);
            }
            result.push_back(std::move(rankings));
        }
        return result;
    }

  private:
    float* offsets(size_t split, size_t beta, idx_t items) {
        return offsets_.data() +
               static_cast<idx_t>(split * betas_.size() + beta) * items;
    }

    void find_offsets(const Tile& bank) {
        offsets_.resize(splits_.size() * betas_.size() * bank.items);
        ParallelErrors errors;
#pragma omp parallel for schedule(dynamic, 16)
        for (idx_t i = 0; i < bank.items; i++) {
            errors.run([&] { find_offsets(bank, i); });
        }
        errors.rethrow();
    }

    void find_offsets(const Tile& bank, idx_t item) {
        const float* scores = bank.scores.data() + item * bank.columns;
        std::vector<float> shifts(parts_.size());
        std::vector<LogMeanExp> sums(parts_.size(), LogMeanExp{0});
        for (size_t p = 0; p < parts_.size(); p++) {
            const auto [begin, end] = parts_[p];
            simd::row_maxima(scores + begin, 1, end - begin, &shifts[p]);
        }
        for (size_t b = 0; b < betas_.size(); b++) {
            sum_parts(scores, parts_, betas_[b], shifts, sums);
            for (size_t s = 0; s < splits_.size(); s++) {
                offsets(s, b, bank.items)[item] =
                    offset_without(sums, splits_[s].excluded, betas_[b]);
            }
        }
    }

    ActivationSet activation_of(const Split& split, idx_t items) const {
        Part held{0, 0};
        if (split.excluded >= 0) held = parts_[split.excluded];
        std::vector<idx_t> winners;
        for (idx_t row = 0; row < winners_.rows(); row++) {
            if (row >= held.first && row < held.second) continue;
            for (const Scored& item : winners_.items(row)) {
                winners.push_back(item.label);
            }
        }
        return {items, winners};
    }

    std::vector<Part> parts_;
    std::span<const float> betas_;
    std::vector<Split> splits_;
    TopLists winners_;  // of every bank row, in the parts' order
    std::vector<float> offsets_;
};

}  // namespace

UnlabelledRankings rank_unlabelled(const Similarities& bank,
                                   const Similarities& queries,
                                   std::span<const float> betas,
                                   idx_t activation_k) {
    const idx_t items = bank.items();
    Ranker ranker({{0, bank.rows()}}, betas,
                  {Split(-1, queries.rows(),
                         std::min(SpreadMeter::depth, items), betas.size())},
                  TopLists(bank.rows(), std::min(activation_k, items)));
    const idx_t step = std::min(block_items(bank), block_items(queries));
    Tile tile;
    for (idx_t begin = 0; begin < items; begin += step) {
        const idx_t end = std::min(begin + step, items);
        tile.read(bank, begin, end);
        ranker.splits().front().tile.read(queries, begin, end);
        ranker.add(tile, begin);
    }
    return std::move(ranker.finish(items).front());
}

std::vector<UnlabelledRankings> rank_held_out(const Similarities& bank,
                                              std::span<const idx_t> order,
                                              idx_t held_out, idx_t splits,
                                              std::span<const float> betas,
                                              idx_t activation_k) {
    const idx_t items = bank.items();
    const idx_t m = bank.rows();
    std::vector<Part> parts;
    std::vector<Split> states;
    for (idx_t s = 0; s < splits; s++) {
        parts.emplace_back(s * held_out, (s + 1) * held_out);
        states.emplace_back(s, held_out, std::min(SpreadMeter::depth, items),
                            betas.size());
    }
    if (splits * held_out < m) parts.emplace_back(splits * held_out, m);
    Ranker ranker(std::move(parts), betas, std::move(states),
                  TopLists(m, std::min(activation_k, items)));
    const idx_t step = block_items(bank);
    Tile as_read;
    Tile tile;
    for (idx_t begin = 0; begin < items; begin += step) {
        as_read.read(bank, begin, std::min(begin + step, items));
        gather(as_read, order, tile);
        for (idx_t s = 0; s < splits; s++) {
            gather(as_read, order.subspan(s * held_out, held_out),
                   ranker.splits()[s].tile);
        }
        ranker.add(tile, begin);
    }
    return ranker.finish(items);
}

}  // namespace faiss_qbnorm
