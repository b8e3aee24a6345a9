// Oracle: methods_oracle.h, the loop of the published code with plain
// exponentials in long double; a matrix worked by hand; what Sinkhorn's
// iterations must do whatever the numbers.

#include <gtest/gtest.h>
#include <omp.h>

#include <limits>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/fit/sinkhorn.h"
#include "faiss_qbnorm/similarities/matrix_similarities.h"
#include "tests/methods_oracle.h"
#include "tests/similarities/scenes.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

std::vector<float> weights_of(const Matrix& matrix, double beta,
                              int iterations) {
    const MatrixSimilarities similarities(matrix.view(), "gallery");
    const Similarities* targets[] = {&similarities};
    return sinkhorn_log_weights(targets, beta, iterations);
}

// log v, moved so that the mean of v is 1.
oracle::Row log_weights(const oracle::Transport& transport) {
    long double mean = 0;
    for (const long double v : transport.v) {
        mean += v / static_cast<long double>(transport.v.size());
    }
    oracle::Row logs;
    for (const long double v : transport.v) {
        logs.push_back(static_cast<double>(logl(v / mean)));
    }
    return logs;
}

void expect_weights(const std::vector<float>& weights,
                    const oracle::Row& right) {
    ASSERT_EQ(weights.size(), right.size());
    for (size_t i = 0; i < weights.size(); i++) {
        ASSERT_NEAR(weights[i], right[i], 1e-7 * std::fabs(right[i]) + 1e-12)
            << "bank query " << i;
    }
}

TEST(Sinkhorn, IsTheLoopOfThePaper) {
    for (const testdata::Scene& scene : testdata::scenes()) {
        const auto probe = oracle::rows_of(scene.querybank.view());
        for (const double beta : {1e-3, 1.0, 20.0, 500.0}) {
            for (const int iterations : {1, 2, 3, 10, 50}) {
                SCOPED_TRACE(scene.name + ", beta " + std::to_string(beta) +
                             ", iterations " + std::to_string(iterations));
                expect_weights(
                    weights_of(scene.querybank, beta, iterations),
                    log_weights(oracle::sinkhorn(probe, beta, iterations)));
            }
        }
    }
    // Between 0 and 1, exp(1e4 (p - 1)) is within a long double's range.
    Matrix matrix = testdata::unit(40, 30, 1);
    for (float& x : matrix.data) x = std::fabs(x);
    const auto probe = oracle::rows_of(matrix.view());
    for (const int iterations : {1, 2, 10}) {
        expect_weights(weights_of(matrix, 1e4, iterations),
                       log_weights(oracle::sinkhorn(probe, 1e4, iterations)));
    }
}

TEST(Sinkhorn, IsWorkedByHand) {
    // exp(p) is 2 1 / 1 2 / 1 1. First v is 1 / 3, 1 / 3, 1 / 2 up to a factor:
    // 6 / 7, 6 / 7, 9 / 7. By symmetry both items' u are equal, so it stays.
    const auto two = static_cast<float>(std::log(2.0));
    const Matrix matrix{{two, 0, 0, two, 0, 0}, 3, 2};
    for (const int iterations : {1, 2, 10}) {
        expect_weights(
            weights_of(matrix, 1, iterations),
            {std::log(6.0 / 7), std::log(6.0 / 7), std::log(9.0 / 7)});
    }
}

TEST(Sinkhorn, LearnsFromAllTargetsTogether) {
    const Matrix whole = testdata::gaussian(20, 50, 2);
    Matrix left{{}, 20, 30};
    Matrix right{{}, 20, 20};
    for (idx_t i = 0; i < 20; i++) {
        const float* row = whole.view().row(i);
        left.data.insert(left.data.end(), row, row + 30);
        right.data.insert(right.data.end(), row + 30, row + 50);
    }
    const MatrixSimilarities first(left.view(), "gallery");
    const MatrixSimilarities second(right.view(), "gallerybank");
    const Similarities* targets[] = {&first, &second};
    expect_weights(
        sinkhorn_log_weights(targets, 10, 10),
        log_weights(oracle::sinkhorn(oracle::rows_of(whole.view()), 10, 10)));
}

// More blocks than one, and more than one strip of bank queries.
TEST(Sinkhorn, DoesNotDependOnThreads) {
    const Matrix matrix = testdata::gaussian(5000, 3500, 3);
    const MatrixSimilarities similarities(matrix.view(), "gallery");
    ASSERT_LT(block_items(similarities), 3500);
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    const auto one = weights_of(matrix, 5, 3);
    omp_set_num_threads(3);
    const auto three = weights_of(matrix, 5, 3);
    omp_set_num_threads(threads);
    EXPECT_EQ(one, three);
    double mean = 0;
    for (const float w : one) mean += std::exp(double{w}) / 5000;
    EXPECT_NEAR(mean, 1, 1e-6);
}

// Sinkhorn's iterations make both marginals uniform.
TEST(Sinkhorn, EndsWithUniformMarginals) {
    const Matrix matrix = testdata::gaussian(8, 12, 4);
    const auto weights = weights_of(matrix, 2, 300);
    std::vector<double> marginal(8, 0);
    for (idx_t j = 0; j < 12; j++) {
        double sum = 0;
        const auto term = [&](idx_t i) {
            return std::exp(2.0 * matrix.view().row(i)[j] + weights[i]);
        };
        for (idx_t i = 0; i < 8; i++) sum += term(i);
        for (idx_t i = 0; i < 8; i++) marginal[i] += term(i) / sum / 12;
    }
    for (const double m : marginal) EXPECT_NEAR(m, 1.0 / 8, 1e-6);
}

TEST(Sinkhorn, IsFiniteWhateverTheSimilarities) {
    constexpr float most = std::numeric_limits<float>::max();
    constexpr float least = std::numeric_limits<float>::denorm_min();
    std::vector<Matrix> hard{testdata::gaussian(9, 14, 5),
                             testdata::gaussian(9, 14, 6)};
    for (float& x : hard[1].data) x *= 1e37F;
    const float numbers[] = {most, -most, 0, least, 1, -1};
    for (int shift = 1; shift <= 5; shift++) {
        Matrix matrix{{}, 5, 7};
        for (int i = 0; i < 35; i++) {
            matrix.data.push_back(numbers[i * shift % 6]);
        }
        hard.push_back(matrix);
    }
    for (const Matrix& matrix : hard) {
        for (const double beta : {1e-45, 1e-3, 100.0, 1e4}) {
            for (const int iterations : {1, 2, 10, 100}) {
                for (const float w : weights_of(matrix, beta, iterations)) {
                    ASSERT_TRUE(std::isfinite(w)) << beta << iterations;
                }
            }
        }
    }
}

// Exponents so large that doubles round them off: without a bound, sums drift
// to zero.
TEST(Sinkhorn, IsFiniteWhereRoundingAddsUp) {
    const Matrix matrix{{0, 0, 0, 4.84722332e15F,  //
                         0, 0, 0, 4.84802435e35F,  //
                         0, 0, 0, 4.3318645e17F,   //
                         0, 394145.688F, 0, 0},
                        4,
                        4};
    for (const float w : weights_of(matrix, 0.0169389811, 1000)) {
        EXPECT_TRUE(std::isfinite(w)) << w;
    }
}

TEST(Sinkhorn, SaysWhatIsWrong) {
    const Matrix matrix = testdata::gaussian(4, 6, 7);
    const MatrixSimilarities gallery(matrix.view(), "gallery");
    const MatrixSimilarities other({matrix.data.data(), 3, 6}, "gallerybank");
    const MatrixSimilarities empty({matrix.data.data(), 0, 6}, "empty");
    const Similarities* targets[] = {&gallery, &other};
    EXPECT_THROW_SAYING(sinkhorn_log_weights(targets, 1, 1), Error,
                        "gallerybank: has 3 bank queries but gallery has 4");
    EXPECT_THROW_SAYING(sinkhorn_log_weights({}, 1, 1), Error,
                        "needs similarities");
    targets[0] = &empty;
    EXPECT_THROW_SAYING(sinkhorn_log_weights(targets, 1, 1), Error,
                        "empty: the bank is empty");
}

}  // namespace
