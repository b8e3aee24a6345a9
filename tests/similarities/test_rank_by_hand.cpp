// Oracle: galleries of a few items, ranked by hand.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/eval/full_ranking.h"
#include "faiss_qbnorm/fit/similarity_column.h"
#include "faiss_qbnorm/similarities/matrix_similarities.h"
#include "tests/data.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;
using Labels = std::vector<idx_t>;

/// A table of two IS columns with these offsets and active items.
NormTable dual_table(const Labels& active1, const Labels& active2,
                     float beta = 1) {
    NormTable table;
    table.gallery_size = table.end = 3;
    Normalization normalization(Method::dualdis);
    normalization.beta = beta;
    normalization.beta2 = 2 * beta;
    BankColumn first;
    first.normalization = normalization;
    first.offsets = std::vector<float>{0, 1, 2};
    first.activation = ActivationSet(3, active1);
    BankColumn second;
    second.bank = Bank::gallerybank;
    second.normalization = normalization;
    second.offsets = std::vector<float>{0.5F, 0, -1};
    second.activation = ActivationSet(3, active2);
    table.columns = {first, second};
    return table;
}

FullRanking rank_one(const Matrix& scores, const NormTable& table,
                     Method method = Method::dualdis) {
    const MatrixSimilarities queries(scores.view(), "queries");
    const TabledMethod methods[] = {{method, &table}};
    return rank_all(queries, methods, {3}).front();
}

TEST(DualDis, MultipliesFactorsBehindTheirGates) {
    // Raw top-1 is item 1, top to bottom 1 0 2.
    const Matrix scores{{-1, 3, -2}, 1, 3};
    struct Case {
        NormTable table;
        Labels labels;
        std::vector<double> scores;
        int open;
    };
    const double e = std::exp(1.0);
    for (const Case& expected : {
             // s s: 1, 9, 4
             Case{dual_table({0}, {2}), {1, 2, 0}, {9, 4, 1}, 0},
             // exp(s - o1) s: -1 / e, 3 e^2, -2 e^-4
             Case{dual_table({1}, {}),
                  {1, 2, 0},
                  {3 * e * e, -2 * std::pow(e, -4), -1 / e},
                  1},
             // s exp(2 (s - o2)): -e^-3, 3 e^6, -2 e^-2
             Case{dual_table({}, {1}),
                  {1, 0, 2},
                  {3 * std::pow(e, 6), -std::pow(e, -3), -2 * std::pow(e, -2)},
                  1},
             // its logarithm: -1 - 3, 2 + 6, -4 - 2
             Case{dual_table({0, 1}, {1, 2}), {1, 0, 2}, {8, -4, -6}, 1},
         }) {
        const FullRanking got = rank_one(scores, expected.table);
        EXPECT_EQ(got.labels, expected.labels);
        EXPECT_EQ(got.open[0], expected.open);
        for (int i = 0; i < 3; i++) {
            EXPECT_NEAR(got.scores[i], expected.scores[i],
                        1e-6 * std::fabs(expected.scores[i]));
        }
    }
}

TEST(DualDis, NeverOverflows) {
    // exp(1e4 s) leaves a float's range and a double's.
    const Matrix scores{{-1, 3, -2, 0, 2, 1.5F, 1e30F, 1e38F, -1e38F}, 3, 3};
    constexpr float most = std::numeric_limits<float>::max();
    const FullRanking one = rank_one(scores, dual_table({1}, {}, 1e4F));
    // s exp(beta (s - o1)), beside the best: -e^-1e4 of item 0, -2 e^-4e4 of
    // item 2; then 0 and 1.5 e^-5e3; then all beyond.
    EXPECT_EQ(one.labels, (Labels{1, 2, 0, 1, 2, 0, 1, 0, 2}));
    EXPECT_EQ(one.scores[0], most);
    EXPECT_EQ(one.scores[1], 0);  // too small for a float, and ranked still
    EXPECT_EQ(one.scores[4], 0);
    EXPECT_EQ(one.scores[6], most);
    const FullRanking both = rank_one(scores, dual_table({1}, {1}, 1e4F));
    for (const float score : both.scores) EXPECT_TRUE(std::isfinite(score));
    // Squares: 1e60 and 1e76, alike for the items 1 and 2 of the last query.
    const FullRanking none = rank_one(scores, dual_table({}, {}, 1e4F));
    EXPECT_EQ(none.labels, (Labels{1, 2, 0, 1, 2, 0, 1, 2, 0}));
    EXPECT_EQ(none.scores[6], most);
}

TEST(Gc, CountsTheBankQueriesThatScoreHigher) {
    const Matrix bank{{0.9F, 0.1F, 0.5F,  //
                       0.8F, 0.2F, 0.5F,  //
                       0.2F, 0.3F, 0.5F},
                      3,
                      3};
    const MatrixSimilarities querybank(bank.view(), "querybank");
    // Ranks: 0.85 is under one of item 0; 0.1 under two of item 1, level with
    // the third; 0.5 under none of item 2.
    const Matrix scores{{0.85F, 0.1F, 0.5F}, 1, 3};
    const MatrixSimilarities queries(scores.view(), "queries");
    const TabledMethod methods[] = {{Method::gc}};
    const Labels targets{1, 0};
    const FullRanking got =
        rank_all(queries, methods, {4, targets, &querybank}).front();
    EXPECT_EQ(got.labels, (Labels{2, 0, 1, -1}));
    EXPECT_EQ(got.scores[0], 0.5F);
    EXPECT_FLOAT_EQ(got.scores[1], 0.85F - 1);
    EXPECT_FLOAT_EQ(got.scores[2], 0.1F - 2);
    EXPECT_EQ(got.scores[3], -std::numeric_limits<float>::infinity());
    EXPECT_EQ(got.target_ranks, std::vector<double>{1});
    EXPECT_EQ(got.open[0], 0);
}

// Ranks of thousands must not swallow the digits of s.
TEST(Gc, KeepsTheDigitsOfScores) {
    const Matrix bank{std::vector<float>(2 * 20000, 1), 20000, 2};
    const MatrixSimilarities querybank(bank.view(), "querybank");
    const float more = std::nextafter(0.5F, 1.0F);
    const Matrix scores{{0.5F, more}, 1, 2};
    const MatrixSimilarities queries(scores.view(), "queries");
    const TabledMethod methods[] = {{Method::gc}};
    const Labels targets{0};
    const FullRanking got =
        rank_all(queries, methods, {2, targets, &querybank}).front();
    EXPECT_EQ(got.labels, (Labels{1, 0}));
    EXPECT_EQ(got.scores[0], got.scores[1]);
    EXPECT_EQ(got.target_ranks[0], 1);
}

TEST(RankAll, AveragesTies) {
    const Matrix scores{{1, 5, 5, 5, 0}, 1, 5};
    const MatrixSimilarities queries(scores.view(), "queries");
    const TabledMethod methods[] = {{Method::none}};
    const auto rank = [&](Labels targets) {
        return rank_all(queries, methods, {0, targets}).front().target_ranks[0];
    };
    EXPECT_EQ(rank({2}), 1);
    EXPECT_EQ(rank({0}), 3);
    EXPECT_EQ(rank({4, 3, -1}), 1);
    EXPECT_EQ(rank({-1}), std::numeric_limits<double>::infinity());
}

TEST(RankAll, SaysWhatIsWrong) {
    const Matrix scores = testdata::gaussian(2, 3, 1);
    const MatrixSimilarities queries(scores.view(), "queries.npy");
    const NormTable dual = dual_table({}, {});
    const auto rank = [&](const TabledMethod& method,
                          const RankOptions& options = {}) {
        const TabledMethod methods[] = {method};
        rank_all(queries, methods, options);
    };
    EXPECT_THROW_SAYING(rank({Method::is}), Error, "method is needs a table");
    EXPECT_THROW_SAYING(rank({Method::csls, &dual}), Error,
                        "fitted for method dualdis, which does not serve csls");
    NormTable part = dual;
    part.gallery_size = 4;
    EXPECT_THROW_SAYING(rank({Method::is, &part}), Error,
                        "rows 0:3 of 4 items");
    NormTable damaged = dual;
    damaged.columns[1].offsets = std::vector<float>{1};
    EXPECT_THROW_SAYING(rank({Method::dualdis, &damaged}), Error,
                        "arrays are not of its size");
    NormTable single = dual;
    single.columns.pop_back();
    EXPECT_THROW_SAYING(rank({Method::dualdis, &single}), Error,
                        "does not serve dualdis");

    EXPECT_THROW_SAYING(rank({Method::gc}), Error, "needs the similarities");
    const MatrixSimilarities wide({scores.data.data(), 1, 6}, "bank.npy");
    EXPECT_THROW_SAYING(rank({Method::gc}, {1, {}, &wide}), Error,
                        "bank.npy: has 6 items but queries.npy has 3");
    const MatrixSimilarities empty({scores.data.data(), 0, 3}, "bank.npy");
    EXPECT_THROW_SAYING(rank({Method::gc}, {1, {}, &empty}), Error,
                        "bank.npy: the bank is empty");
    const Labels three{0, 1, 2};
    EXPECT_THROW_SAYING(rank({Method::none}, {1, three}), Error,
                        "3 right items for 2 queries");
    const Labels outside{0, 1, 2, 3};
    EXPECT_THROW_SAYING(rank({Method::none}, {1, outside}), Error,
                        "right item of query 1 is 3");
    const Labels negative{0, -2};
    EXPECT_THROW_SAYING(rank({Method::none}, {1, negative}), Error,
                        "right item of query 1 is -2");
}

}  // namespace
