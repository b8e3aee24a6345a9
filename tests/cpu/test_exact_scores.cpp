// Oracle: core/formula.h's exact_score less the offset (scene.h).

#include "faiss_qbnorm/cpu/exact_scores.h"

#include <gtest/gtest.h>

#include "tests/cpu/scene.h"

namespace {

using namespace faiss_qbnorm;
using scene::Scene;

TEST(ExactScores, AreFormulasLessTheOffset) {
    for (const Metric metric : {Metric::inner_product, Metric::l2}) {
        const Scene scene(metric, testdata::gaussian(60, 6, 1),
                          testdata::gaussian(5, 6, 2), 20);
        for (idx_t query = 0; query < 5; query++) {
            for (idx_t row = 0; row < scene.rows(); row++) {
                for (const bool normalised : {false, true}) {
                    const Scored got = scene.exact[normalised](query, row);
                    const Scored right =
                        scene.score(query, scene.earlier + row, normalised);
                    EXPECT_EQ(got.score, right.score);
                    EXPECT_EQ(got.label, right.label);
                }
            }
        }
        for (const idx_t count : {0, 1, 4, 9, 40}) {
            std::vector<idx_t> rows;
            for (idx_t i = 0; i < count; i++) rows.push_back(39 - i);
            std::vector<float> scores(count);
            scene.exact[1].raw(2, rows, scores.data());
            for (idx_t i = 0; i < count; i++) {
                EXPECT_EQ(scores[i],
                          scene.score(2, scene.earlier + rows[i], false).score);
            }
        }
        EXPECT_EQ(scene.exact[0].label(3), scene.labels[23]);
        EXPECT_EQ(
            scene.exact[1].from_raw(3, 7).score,
            7 - scene.table.offsets[scene.labels[23] - Scene::first_label]);
    }
}

}  // namespace
