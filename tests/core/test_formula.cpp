// Oracle: long double arithmetic of the C library, and oracle.h.

#include "faiss_qbnorm/core/formula.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "tests/data.h"
#include "tests/oracle.h"

namespace {

using namespace faiss_qbnorm;

// Folds `scores` in pieces of `piece`, as the engines do with their tiles.
double offset_of(const std::vector<float>& scores, double beta, size_t piece) {
    LogMeanExp all{scores[0]};
    for (size_t begin = 0; begin < scores.size(); begin += piece) {
        const size_t end = std::min(begin + piece, scores.size());
        const double max =
            *std::max_element(&scores[begin], &scores[end - 1] + 1);
        if (max > all.shift) all.raise_shift(max, beta);
        for (size_t i = begin; i < end; i++) {
            const double x = beta * (scores[i] - all.shift);
            all.add(std::expm1(x), std::exp(x), 1);
        }
    }
    return all.is_offset(beta);
}

void expect_offset(const std::vector<float>& scores, double beta,
                   double relative) {
    oracle::Rows probe;
    double scale = 0;
    for (const float score : scores) {
        probe.push_back({score});
        scale = std::max(scale, std::fabs(double{score}));
    }
    const double right = oracle::is_offsets(probe, beta)[0];
    for (const size_t piece : {size_t{1}, size_t{7}, scores.size()}) {
        const double got = offset_of(scores, beta, piece);
        ASSERT_TRUE(std::isfinite(got));
        EXPECT_NEAR(got, right, relative * scale)
            << "beta " << beta << ", pieces of " << piece;
    }
}

TEST(LogMeanExp, IsTheOffsetForAnyBeta) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0.2F, 0.1F);
    std::vector<float> scores(1000);
    for (float& score : scores) score = normal(random);
    for (const double beta :
         {1e-40, 1e-20, 1e-6, 1e-2, 0.5, 1.0, 20.0, 100.0, 1e3, 1e4}) {
        expect_offset(scores, beta, 1e-12);
    }
}

TEST(LogMeanExp, NeitherOverflowsNorUnderflows) {
    constexpr float huge = std::numeric_limits<float>::max();
    constexpr float tiny = std::numeric_limits<float>::denorm_min();
    for (const double beta : {1e-45, 1e-6, 1.0, 1e4}) {
        expect_offset({huge, -huge, 0, 1}, beta, 1e-9);
        expect_offset({-huge, -huge, -huge}, beta, 1e-12);
        expect_offset({tiny, 2 * tiny, 0}, beta, 1e-9);
        expect_offset({5}, beta, 1e-12);
    }
}

TEST(LogMeanExp, TendsToTheMeanAndToTheMaximum) {
    const std::vector<float> scores{0.1F, 0.5F, 0.9F, 0.3F};
    EXPECT_NEAR(offset_of(scores, 1e-9, 2), 0.45, 1e-8);
    EXPECT_NEAR(offset_of(scores, 1e4, 2), 0.9 - std::log(4.0) / 1e4, 1e-7);
}

TEST(LogMeanExp, CountsBillions) {
    // A billion scores, in tiles, and one that stands out: by a little, and by
    // so much that the others together hardly count.
    for (const double low : {0.1, -1.0, -5.0}) {
        const double beta = 20;
        LogMeanExp many{low};
        for (int tile = 0; tile < 1000; tile++) many.add(0, 1e6, 1e6);
        many.raise_shift(0.9, beta);
        many.add(0, 1, 1);
        const long double right =
            (logl(1e9L * expl(20.0L * low) + expl(20 * 0.9L)) -
             logl(1e9L + 1)) /
            20;
        EXPECT_NEAR(many.is_offset(beta), static_cast<double>(right), 1e-12);
    }
}

TEST(ExactScore, IsTheRoundedDoubleScore) {
    for (const int d : {1, 3, 7, 8, 9, 64, 100}) {
        const Matrix a = testdata::gaussian(5, d, 2);
        const Matrix b = testdata::gaussian(5, d, 3);
        for (const Metric metric : {Metric::inner_product, Metric::l2}) {
            const auto right = oracle::similarities(metric, a.view(), b.view());
            for (idx_t i = 0; i < 5; i++) {
                for (idx_t j = 0; j < 5; j++) {
                    EXPECT_EQ(exact_score(metric, a.view().row(i),
                                          b.view().row(j), d),
                              static_cast<float>(right[i][j]));
                }
            }
        }
    }
}

TEST(RanksBefore, PutsTiesInLabelOrder) {
    EXPECT_TRUE(ranks_before({1.0F, 5}, {0.5F, 1}));
    EXPECT_TRUE(ranks_before({1.0F, 1}, {1.0F, 5}));
    EXPECT_FALSE(ranks_before({1.0F, 5}, {1.0F, 1}));
    EXPECT_FALSE(ranks_before({1.0F, 1}, {1.0F, 1}));
}

}  // namespace
