// Oracle: a count over all exact scores (scene.h).

#include "faiss_qbnorm/cpu/rank_counts.h"

#include <gtest/gtest.h>

#include <limits>

#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/cpu/tile_scorer.h"
#include "tests/cpu/scene.h"

namespace {

using namespace faiss_qbnorm;
using scene::Rows;
using scene::Scene;

constexpr float infinity = std::numeric_limits<float>::infinity();

/// Scores of items, so that some tie, and what none reaches.
std::vector<float> targets_of(const Scene& scene, bool normalised) {
    std::vector<float> targets;
    for (idx_t query = 0; query < scene.queries.rows; query++) {
        targets.push_back(
            scene.sorted(query, normalised)[query * 3 % scene.rows()].score);
    }
    targets[1] = infinity;
    targets[2] = -infinity;
    targets[3] = 0;
    return targets;
}

std::vector<RankCount> counted(const Scene& scene, const Queries& queries,
                               const std::vector<float>& targets,
                               bool normalised) {
    std::vector<RankCount> counts(targets.size());
    RankCounts ranks(queries, scene.exact[normalised], targets, counts);
    const idx_t height = queries.shape.left_rows;
#pragma omp parallel
    {
        TileScorer scorer(queries);
#pragma omp for schedule(dynamic)
        for (idx_t begin = 0; begin < scene.rows(); begin += height) {
            const idx_t end = std::min(begin + height, scene.rows());
            std::vector<float> offsets;
            for (idx_t i = begin; i < end; i++) {
                offsets.push_back(scene.table.offsets[scene.block.label(i) -
                                                      scene.table.begin]);
            }
            scorer.load(scene.block.vectors, begin, end, 0);
            for (idx_t panel = 0; panel < queries.shape.panels(); panel++) {
                ranks.count({scorer.score(panel), end - begin, begin, panel},
                            scorer.bound(),
                            normalised ? offsets.data() : nullptr,
                            normalised ? scene.table.largest_offset : 0);
            }
        }
    }
    return counts;
}

void expect_counts(const Scene& scene, ProductType type, bool normalised) {
    const bool l2 = scene.metric == Metric::l2;
    const std::vector<float> mean = mean_row(scene.block.vectors);
    const Queries queries({{32, 16}, type, false}, scene.metric,
                          scene.query_view, l2 ? mean.data() : nullptr);
    const std::vector<float> targets = targets_of(scene, normalised);
    const std::vector<RankCount> counts =
        counted(scene, queries, targets, normalised);
    for (idx_t query = 0; query < scene.queries.rows; query++) {
        RankCount expected;
        for (const Scored& item : scene.sorted(query, normalised)) {
            expected.before += item.score > targets[query];
            expected.level += item.score == targets[query];
        }
        ASSERT_EQ(counts[query].before, expected.before) << query;
        ASSERT_EQ(counts[query].level, expected.level) << query;
    }
}

TEST(RankCounts, AreThoseOfAllExactScores) {
    for (const Metric metric : {Metric::inner_product, Metric::l2}) {
        for (const Rows rows :
             {Rows::gaussian, Rows::ties, Rows::hard, Rows::beyond}) {
            const Scene scene(metric, scene::rows_of(rows, 200, 19, 1),
                              scene::rows_of(rows, 37, 19, 2), 0);
            for (const ProductType type :
                 {ProductType::fp32, ProductType::bf16}) {
                if (type == ProductType::bf16 && !has_fast_bf16()) continue;
                SCOPED_TRACE(testing::Message()
                             << "rows " << static_cast<int>(rows) << ", bf16 "
                             << (type == ProductType::bf16));
                expect_counts(scene, type, false);
                expect_counts(scene, type, true);
                if (HasFatalFailure()) return;
            }
        }
    }
}

TEST(RankCounts, CountNothingWithoutTargets) {
    const Scene scene(Metric::inner_product, testdata::gaussian(20, 5, 1),
                      testdata::gaussian(4, 5, 2), 0);
    const Queries queries({}, scene.metric, scene.query_view, nullptr);
    EXPECT_TRUE(counted(scene, queries, {}, false).empty());
}

}  // namespace
