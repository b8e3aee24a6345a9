#include "faiss_qbnorm/tune/right_ranks.h"

#include <algorithm>
#include <limits>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/parallel_errors.h"
#include "faiss_qbnorm/cpu/simd.h"
#include "faiss_qbnorm/tune/tile.h"

namespace faiss_qbnorm {

namespace {

template <class Visit>
void for_each_tile(const Similarities& queries, Visit visit) {
    const idx_t step = block_items(queries);
    Tile tile;
    for (idx_t begin = 0; begin < queries.items(); begin += step) {
        tile.read(queries, begin, std::min(begin + step, queries.items()));
        visit(tile, begin);
    }
}

/// What right items score, by query.
struct RightLabel {
    idx_t query;
    idx_t label;
};

std::vector<RightLabel> by_label(const RightItems& truth) {
    std::vector<RightLabel> result;
    for (size_t i = 0; i < truth.labels.size(); i++) {
        if (truth.labels[i] < 0) continue;
        result.push_back(
            {static_cast<idx_t>(i) / truth.per_query, truth.labels[i]});
    }
    std::sort(result.begin(), result.end(),
              [](const RightLabel& a, const RightLabel& b) {
                  return a.label < b.label;
              });
    return result;
}

/// One ranking of the gallery for all queries.
struct Ranking {
    const float* offsets;
    std::vector<float> targets;  ///< the best score of a right item
    std::vector<idx_t> before;
    std::vector<idx_t> level;

    Ranking(const float* offsets, idx_t nq)
        : offsets(offsets),
          targets(nq, -std::numeric_limits<float>::infinity()),
          before(nq, 0),
          level(nq, 0) {}

    float score(float s, idx_t label) const {
        return offsets ? s - offsets[label] : s;
    }

    void count(const Tile& tile, idx_t begin) {
        std::vector<simd::Place> places;
        simd::count_above(tile.scores.data(), tile.items, tile.columns,
                          offsets ? offsets + begin : nullptr, targets.data(),
                          targets.data(), before.data(), places);
        for (const simd::Place& place : places) level[place.column]++;
    }

    std::vector<double> ranks() const {
        std::vector<double> result;
        for (size_t q = 0; q < before.size(); q++) {
            // The answer is level with itself.
            result.push_back(static_cast<double>(before[q]) +
                             static_cast<double>(level[q] - 1) / 2);
        }
        return result;
    }
};

}  // namespace

void check(const RightItems& truth, const Similarities& queries) {
    const idx_t m = truth.per_query;
    require(
        m >= 1 && static_cast<idx_t>(truth.labels.size()) == queries.rows() * m,
        "the ground truth has ", truth.labels.size(), " entries for ",
        queries.rows(), " queries with ", m, " each");
    for (size_t i = 0; i < truth.labels.size(); i++) {
        const idx_t label = truth.labels[i];
        const bool first = static_cast<idx_t>(i) % m == 0;
        require(label < queries.items() && label >= (first ? 0 : -1),
                "the ground truth of query ", static_cast<idx_t>(i) / m,
                " names item ", label, " but the gallery has items 0 to ",
                queries.items() - 1);
    }
}

RightRanks right_ranks(const Similarities& queries, const RightItems& truth,
                       std::span<const float* const> offsets) {
    check(truth, queries);
    std::vector<Ranking> rankings;
    for (const float* given : offsets) {
        rankings.emplace_back(given, queries.rows());
    }
    const std::vector<RightLabel> right = by_label(truth);
    auto next = right.begin();
    TopLists first(queries.rows(), 1);
    for_each_tile(queries, [&](const Tile& tile, idx_t begin) {
        for (; next != right.end() && next->label < begin + tile.items;
             ++next) {
            const float s = tile.item(next->label - begin)[next->query];
            for (Ranking& ranking : rankings) {
                float& target = ranking.targets[next->query];
                target = std::max(target, ranking.score(s, next->label));
            }
        }
        offer(tile, begin, nullptr, first);
    });
    for_each_tile(queries, [&](const Tile& tile, idx_t begin) {
        ParallelErrors errors;
#pragma omp parallel for schedule(dynamic, 1)
        for (Ranking& ranking : rankings) {
            errors.run([&] { ranking.count(tile, begin); });
        }
        errors.rethrow();
    });
    RightRanks result;
    for (const Ranking& ranking : rankings) {
        result.ranks.push_back(ranking.ranks());
    }
    for (idx_t q = 0; q < queries.rows(); q++) {
        result.raw_first.push_back(first.best(q).label);
    }
    return result;
}

}  // namespace faiss_qbnorm
