// Oracle: a full sort by core/formula.h's exact_score (scene.h).

#include "faiss_qbnorm/cpu/shortlists.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/cpu/scene.h"

namespace {

using namespace faiss_qbnorm;
using scene::Rows;
using scene::Scene;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr int d = 6;

/// One call of Shortlists::add.
struct Item {
    idx_t query;
    idx_t row;
    float score;
    float error;
};

/// How far off scores are; of `mixed` each item by another one.
enum class Errors { none, tiny, small, large, infinite, mixed };
const std::vector<Errors> all_errors{Errors::none,     Errors::tiny,
                                     Errors::small,    Errors::large,
                                     Errors::infinite, Errors::mixed};

float error_of(Errors errors, std::mt19937& random) {
    switch (errors) {
        case Errors::none:
            return 0;
        case Errors::tiny:
            return 1e-5F;
        case Errors::small:
            return 0.05F;
        case Errors::large:
            return 2;
        case Errors::infinite:
            return infinity;
        case Errors::mixed:
            return error_of(all_errors[random() % 5], random);
    }
    return 0;
}

/// What a tile may say of an exact score: anything within the error.
float inexact(float exact, float error, std::mt19937& random) {
    if (error == 0) return exact;
    if (std::isinf(error) || std::isinf(exact)) {
        const float any[] = {infinity, -infinity, 5, NAN};
        return any[random() % 4];
    }
    std::uniform_real_distribution<float> within(-0.999F, 0.999F);
    const float score = exact + error * within(random);
    return std::fabs(double{score} - exact) <= error ? score : exact;
}

/// All items of the block for all queries, in random order.
std::vector<Item> items_of(const Scene& scene, Errors errors, bool normalised) {
    std::mt19937 random(5);
    std::vector<Item> items;
    for (idx_t query = 0; query < scene.queries.rows; query++) {
        for (idx_t row = 0; row < scene.rows(); row++) {
            const float exact =
                scene.score(query, scene.earlier + row, normalised).score;
            float error = error_of(errors, random);
            float score = inexact(exact, error, random);
            if (std::isinf(exact) && error > 0) error = infinity;
            if (errors == Errors::mixed && random() % 16 == 0) score = NAN;
            items.push_back({query, row, score, error});
        }
    }
    std::shuffle(items.begin(), items.end(), random);
    return items;
}

/// What was known, and the best of the contenders.
TopLists finish(const Scene& scene, bool normalised,
                const Shortlists& shortlists, const TopLists& known) {
    TopLists lists = known;
    for (idx_t query = 0; query < lists.rows(); query++) {
        const auto view = shortlists.contenders(query);
        std::vector<Contender> contenders(view.begin(), view.end());
        score_exactly(contenders, query, scene.exact[normalised]);
        for (const Contender& item : contenders) {
            lists.offer(query, {item.low, scene.block.label(item.row)});
        }
    }
    return lists;
}

/// Of all queries.
Shortlists shortlists_of(const Scene& scene, const TopLists& known,
                         bool normalised) {
    return {known, 0, scene.queries.rows, scene.exact[normalised]};
}

void expect_best(const Scene& scene, Errors errors, idx_t k, bool normalised) {
    SCOPED_TRACE(testing::Message()
                 << "k " << k << ", " << scene.rows() << " rows, errors "
                 << static_cast<int>(errors));
    const TopLists known = scene.known(k, normalised);
    Shortlists shortlists = shortlists_of(scene, known, normalised);
    ASSERT_EQ(shortlists.k(), k);
    for (idx_t query = 0; query < scene.queries.rows; query++) {
        ASSERT_EQ(shortlists.threshold(query), known.threshold(query));
    }
    for (const auto& [query, row, score, error] :
         items_of(scene, errors, normalised)) {
        shortlists.add(query, row, score, error);
    }
    scene.expect_best(finish(scene, normalised, shortlists, known), normalised);
    for (idx_t query = 0; k > 0 && query < scene.queries.rows; query++) {
        const std::vector<Scored> all = scene.sorted(query, normalised);
        if (static_cast<idx_t>(all.size()) < k) continue;
        EXPECT_LE(shortlists.threshold(query), all[k - 1].score);
    }
}

Scene scene_of(Rows kind, Metric metric, idx_t rows, idx_t earlier) {
    return {
        metric, scene::rows_of(kind, rows, d, 1),
        scene::rows_of(kind == Rows::beyond ? kind : Rows::gaussian, 5, d, 2),
        earlier};
}

const std::vector<idx_t> some_k{0, 1, 2, 10, 63, 64, 100, 1000};

TEST(Shortlists, HaveTheBestOfAnyErrors) {
    for (const idx_t rows : {1, 5, 65, 130, 700}) {
        const Scene scene =
            scene_of(Rows::gaussian, Metric::inner_product, rows, 0);
        for (const idx_t k : some_k) {
            for (const Errors errors : all_errors) {
                expect_best(scene, errors, k, rows % 2 == 0);
                if (HasFatalFailure()) return;
            }
        }
    }
}

TEST(Shortlists, GiveTiesToTheLowerLabel) {
    for (const Metric metric : {Metric::inner_product, Metric::l2}) {
        const Scene scene = scene_of(Rows::ties, metric, 500, 0);
        for (const idx_t k : some_k) {
            for (const Errors errors : all_errors) {
                expect_best(scene, errors, k, false);
                expect_best(scene, errors, k, true);
                if (HasFatalFailure()) return;
            }
        }
    }
}

TEST(Shortlists, AddToWhatAnEarlierBlockLeft) {
    for (const Rows kind : {Rows::gaussian, Rows::ties}) {
        for (const idx_t earlier : {3, 150, 297}) {
            const Scene scene = scene_of(kind, Metric::l2, 300, earlier);
            for (const idx_t k : some_k) {
                for (const Errors errors : all_errors) {
                    expect_best(scene, errors, k, true);
                    if (HasFatalFailure()) return;
                }
            }
        }
    }
}

TEST(Shortlists, RankInfiniteScores) {
    for (const Metric metric : {Metric::inner_product, Metric::l2}) {
        const Scene scene = scene_of(Rows::beyond, metric, 300, 40);
        for (const idx_t k : some_k) {
            for (const Errors errors : {Errors::infinite, Errors::mixed}) {
                expect_best(scene, errors, k, false);
                expect_best(scene, errors, k, true);
                if (HasFatalFailure()) return;
            }
        }
    }
}

/// Of every query the k-th best score of the block, which all thresholds may
/// reach.
std::vector<float> highest_thresholds(const Scene& scene, idx_t k) {
    std::vector<float> result;
    for (idx_t query = 0; query < scene.queries.rows; query++) {
        result.push_back(scene.sorted(query, false)[k - 1].score);
    }
    return result;
}

TEST(Shortlists, LoseNothingToTheHighestThresholdThatHolds) {
    for (const Rows kind : {Rows::gaussian, Rows::ties}) {
        const Scene scene = scene_of(kind, Metric::inner_product, 400, 0);
        for (const idx_t k : {1, 10, 100}) {
            const TopLists known = scene.known(k, false);
            Shortlists shortlists = shortlists_of(scene, known, false);
            const std::vector<float> highest = highest_thresholds(scene, k);
            for (idx_t query = 0; query < 5; query++) {
                const float least = highest[query];
                shortlists.raise_threshold(query, least);
                EXPECT_EQ(shortlists.threshold(query), least);
                shortlists.raise_threshold(query, least - 1);
                shortlists.raise_threshold(query, NAN);
                EXPECT_EQ(shortlists.threshold(query), least);
            }
            for (const auto& [query, row, score, error] :
                 items_of(scene, Errors::small, false)) {
                shortlists.add(query, row, score, error);
            }
            scene.expect_best(finish(scene, false, shortlists, known), false);
            if (HasFatalFailure()) return;
        }
    }
}

TEST(Shortlists, RaiseTheThresholdAsTheyFill) {
    const Scene scene =
        scene_of(Rows::gaussian, Metric::inner_product, 3000, 0);
    for (const idx_t k : {1, 10, 100}) {
        const TopLists known = scene.known(k, false);
        Shortlists shortlists = shortlists_of(scene, known, false);
        EXPECT_EQ(shortlists.threshold(0), -infinity);
        for (const auto& [query, row, score, error] :
             items_of(scene, Errors::tiny, false)) {
            shortlists.add(query, row, score, error);
        }
        for (idx_t query = 0; query < 5; query++) {
            const float threshold = shortlists.threshold(query);
            idx_t left = 0;
            for (const Scored& item : scene.sorted(query, false)) {
                left += item.score > threshold + 3e-5F;
            }
            EXPECT_LE(left, 4 * k + 64) << "k " << k;  // not 3000
        }
    }
}

}  // namespace
