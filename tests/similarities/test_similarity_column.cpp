// Oracle: oracle.h and methods_oracle.h, the papers' formulas in double over
// whole matrices; numbers worked by hand.

#include <gtest/gtest.h>
#include <omp.h>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/fit/similarity_column.h"
#include "faiss_qbnorm/fit/sinkhorn.h"
#include "faiss_qbnorm/similarities/matrix_similarities.h"
#include "tests/methods_oracle.h"
#include "tests/similarities/scenes.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;
using oracle::Row;
using oracle::Rows;

Normalization with_beta(Method method, float beta) {
    Normalization normalization(method);
    normalization.beta = beta;
    return normalization;
}

double largest(const Rows& rows) {
    double most = 0;
    for (const Row& row : rows) {
        for (const double x : row) most = std::max(most, std::fabs(x));
    }
    return most;
}

// Offsets are float32: half a unit in the last place, and a little for sums.
void expect_offsets(const SharedArray<float>& offsets, const Row& right,
                    double tolerance) {
    ASSERT_EQ(offsets.size(), right.size());
    for (size_t j = 0; j < right.size(); j++) {
        ASSERT_NEAR(offsets[j], right[j], tolerance) << "item " << j;
    }
}

class Columns : public testing::TestWithParam<testdata::Scene> {
  protected:
    BankColumn fit(const Normalization& normalization) const {
        return fit_column(bank_, Bank::querybank, normalization);
    }

    const Matrix& matrix_ = GetParam().querybank;
    MatrixSimilarities bank_{matrix_.view(), "bank"};
    Rows probe_ = oracle::rows_of(matrix_.view());
    double tolerance_ = 1e-7 * largest(probe_) + 1e-13;
};

TEST_P(Columns, OfIsAreItsLogSumExp) {
    for (const float beta : {1e-3F, 1.0F, 20.0F, 1e4F}) {
        SCOPED_TRACE(beta);
        for (const Method method : {Method::is, Method::dis, Method::none}) {
            const BankColumn column = fit(with_beta(method, beta));
            expect_offsets(column.offsets, oracle::is_offsets(probe_, beta),
                           tolerance_);
            EXPECT_EQ(column.bank_size, matrix_.rows);
            EXPECT_EQ(column.bank_fingerprint, 0U);
        }
    }
}

TEST_P(Columns, OfIsKnowTheActivationSet) {
    for (const idx_t k : {1, 3, 1000}) {
        Normalization normalization(Method::dis);
        normalization.activation_k = k;
        const BankColumn column = fit(normalization);
        const auto active = oracle::activation_set(probe_, k);
        for (idx_t j = 0; j < matrix_.d; j++) {
            ASSERT_EQ(column.activation.contains(j), active.contains(j)) << j;
        }
        const idx_t length = std::min<idx_t>(k + 8, matrix_.d);
        ASSERT_EQ(column.lists.length, length);
        for (idx_t i = 0; i < matrix_.rows; i++) {
            const std::vector<idx_t> order = oracle::ranking(probe_[i]);
            for (idx_t t = 0; t < length; t++) {
                ASSERT_EQ(column.lists.labels[i * length + t], order[t]);
                ASSERT_EQ(column.lists.scores[i * length + t],
                          probe_[i][order[t]]);
            }
        }
    }
}

TEST_P(Columns, OfNeighboursAreTheirMeans) {
    for (const idx_t neighbours : {1, 3, 10, 128, 1 << 30}) {
        Normalization csls(Method::csls);
        csls.neighbours = neighbours;
        expect_offsets(fit(csls).offsets,
                       oracle::csls_offsets(probe_, neighbours), tolerance_);
        for (const float alpha : {0.0F, 0.75F, 100.0F}) {
            Normalization nnn(Method::nnn);
            nnn.neighbours = neighbours;
            nnn.alpha = alpha;
            const BankColumn column = fit(nnn);
            expect_offsets(column.offsets,
                           oracle::nnn_offsets(probe_, neighbours, alpha),
                           tolerance_ * (1 + alpha));
            EXPECT_EQ(column.lists.length, 0);
            EXPECT_TRUE(column.activation.words().empty());
        }
    }
}

TEST_P(Columns, OfCentAreMeans) {
    expect_offsets(fit(Method::cent).offsets, oracle::cent_offsets(probe_),
                   tolerance_);
}

TEST_P(Columns, OfDbsnRankAsItsScores) {
    for (const float beta : {1e-3F, 1.0F, 100.0F}) {
        for (const int iterations : {1, 2, 10}) {
            Normalization normalization = with_beta(Method::dbsn, beta);
            normalization.iterations = iterations;
            const BankColumn column = fit(normalization);
            ASSERT_EQ(static_cast<idx_t>(column.log_weights.size()),
                      matrix_.rows);
            double mean = 0;
            for (const float offset : column.offsets) {
                mean += offset / static_cast<double>(matrix_.d);
            }
            Row centred;
            for (const float offset : column.offsets) {
                centred.push_back(offset - mean);
            }
            const auto transport = oracle::sinkhorn(probe_, beta, iterations);
            const Row right =
                oracle::dbsn_offsets(transport, probe_.front().size(), beta);
            for (idx_t j = 0; j < matrix_.d; j++) {
                ASSERT_NEAR(centred[j], right[j], 5 * tolerance_ + 1e-12)
                    << "item " << j << ", beta " << beta << ", iterations "
                    << iterations;
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Scenes, Columns, testing::ValuesIn(testdata::scenes()),
                         testdata::test_name);

// Cut into blocks of items: a bank of more than 2^24 / 2 numbers.
TEST(FitColumn, DoesNotDependOnBlocks) {
    const Matrix bank = testdata::gaussian(6000, 6000, 1);
    const MatrixSimilarities similarities(bank.view(), "bank");
    ASSERT_LT(block_items(similarities), 6000);
    const BankColumn column =
        fit_column(similarities, Bank::querybank, Method::is);
    idx_t wrong = 0;
    for (const idx_t item : {0, 2795, 2796, 2797, 5999}) {
        Rows one(bank.rows);
        for (idx_t i = 0; i < bank.rows; i++) {
            one[i] = {bank.view().row(i)[item]};
        }
        EXPECT_NEAR(column.offsets[item], oracle::is_offsets(one, 20)[0], 1e-6);
    }
    for (idx_t i = 0; i < bank.rows; i++) {
        const float* row = bank.view().row(i);
        const idx_t best = std::max_element(row, row + bank.d) - row;
        wrong += column.lists.labels[i * column.lists.length] != best;
    }
    EXPECT_EQ(wrong, 0);
}

TEST(FitColumn, TakesWeights) {
    // Worked by hand: weights 1.5 and 0.5, beta 2, scores 0 and log(3) / 2:
    // log((1.5 + 0.5 * 3) / 2) / 2.
    const auto third = static_cast<float>(std::log(3.0) / 2);
    const Matrix bank{{0, third}, 2, 1};
    const MatrixSimilarities similarities(bank.view(), "bank");
    const Normalization normalization = with_beta(Method::dbsn, 2);
    const std::vector<float> weights{std::log(1.5F), std::log(0.5F)};
    const BankColumn column =
        fit_column(similarities, Bank::querybank, normalization, 0, {weights});
    EXPECT_NEAR(column.offsets[0], std::log(1.5) / 2, 1e-7);
    EXPECT_EQ(column.log_weights[1], weights[1]);
    const std::vector<float> three{0, 0, 0};
    EXPECT_THROW_SAYING(
        fit_column(similarities, Bank::querybank, normalization, 0, {three}),
        Error, "2 bank queries but 3 weights");
}

TEST(FitColumn, SaysWhatIsWrong) {
    const Matrix bank{{3e38F, 3e38F, -3e38F, 3e38F}, 2, 2};
    const MatrixSimilarities similarities(bank.view(), "bank.npy");
    const auto fit = [&](const Normalization& normalization, idx_t length = 0) {
        fit_column(similarities, Bank::querybank, normalization, length);
    };
    EXPECT_THROW_SAYING(fit(Method::gc), Error, "gc ranks by the bank itself");
    EXPECT_THROW_SAYING(fit(with_beta(Method::is, 0)), Error, "beta is 0");
    Normalization third(Method::dis);
    third.activation_k = 3;
    EXPECT_THROW_SAYING(fit(third, 2), Error, "list_length is 2");
    Normalization steep(Method::nnn);
    steep.alpha = 2;
    EXPECT_THROW_SAYING(fit(steep), Error,
                        "bank.npy: the offset of item 1 overflows");
    const MatrixSimilarities empty({bank.data.data(), 0, 2}, "none");
    EXPECT_THROW_SAYING(fit_column(empty, Bank::querybank, Method::csls), Error,
                        "none: the bank is empty");
}

TEST(FitSimilarities, MakesTheColumnsOfEachMethod) {
    const Matrix query_matrix = testdata::gaussian(5, 7, 1);
    const Matrix gallery_matrix = testdata::gaussian(4, 7, 2);
    const MatrixSimilarities querybank(query_matrix.view(), "querybank");
    const MatrixSimilarities gallerybank(gallery_matrix.view(), "gallerybank");
    for (const Method method : all_methods()) {
        if (method == Method::gc) continue;
        SCOPED_TRACE(name_of(method));
        const NormTable table =
            fit_similarities(querybank, &gallerybank, method);
        check(table);
        EXPECT_TRUE(table.is_whole());
        EXPECT_EQ(table.size(), 7);
        EXPECT_EQ(table.d, 0);
        EXPECT_EQ(table.fingerprint, 0U);
        ASSERT_EQ(table.columns.size(), is_dual(method) ? 2U : 1U);
        const BankColumn& first = table.columns[0];
        EXPECT_EQ(first.bank, Bank::querybank);
        EXPECT_EQ(first.bank_size, 5);
        EXPECT_EQ(first.normalization, Normalization(method));
        if (!is_dual(method)) continue;
        const BankColumn& second = table.columns[1];
        EXPECT_EQ(second.bank, Bank::gallerybank);
        const Row right =
            oracle::is_offsets(oracle::rows_of(gallery_matrix.view()), 3);
        expect_offsets(second.offsets, right, 1e-6);
    }
    EXPECT_THROW_SAYING(fit_similarities(querybank, nullptr, Method::dualis),
                        Error, "method dualis needs a gallerybank");
    EXPECT_THROW_SAYING(fit_similarities(querybank, nullptr, Method::gc), Error,
                        "gc ranks by the bank itself");
    const MatrixSimilarities other({query_matrix.data.data(), 5, 6}, "other");
    EXPECT_THROW_SAYING(fit_similarities(querybank, &other, Method::dualdis),
                        Error, "other: has 6 items but querybank has 7");
}

}  // namespace
