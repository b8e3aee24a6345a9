// Oracle: numbers worked by hand; rotations keep inner products.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "bench/papers/banks.h"
#include "tests/data.h"

namespace {

using namespace papers;

using Rows = std::vector<idx_t>;

// Items along the three axes; a bank query prefers the axis it leans to.
Matrix axes() {
    return {{1, 0, 0, 0, 1, 0, 0, 0, 1}, 3, 3};
}

// First items: 1, 2, 1, 0, 1, 2, with these scores.
Matrix leaning() {
    Matrix bank{{}, 6, 3};
    const int first[] = {1, 2, 1, 0, 1, 2};
    const float scores[] = {0.9F, 0.5F, 0.6F, 0.8F, 0.7F, 1.0F};
    for (int i = 0; i < 6; i++) {
        float row[3] = {0, 0, 0};
        row[first[i]] = scores[i];
        bank.data.insert(bank.data.end(), std::begin(row), std::end(row));
    }
    return bank;
}

TEST(PapersBanks, AnAdversarialBankCoversFewItems) {
    const Kept bank(axes(), leaning());
    EXPECT_EQ(bank.first_items(), (Rows{1, 2, 1, 0, 1, 2}));
    EXPECT_EQ(adversarial_rows(bank, 3), (Rows{0, 2, 4}));
    EXPECT_EQ(adversarial_rows(bank, 4), (Rows{0, 2, 4, 1}));
    EXPECT_EQ(adversarial_rows(bank, 6), (Rows{0, 2, 4, 1, 5, 3}));
}

TEST(PapersBanks, TheFarthestScoreLeast) {
    const Kept bank(axes(), leaning());
    EXPECT_EQ(farthest_rows(bank, 3), (Rows{1, 2, 4}));
}

TEST(PapersBanks, RandomRowsArePartOfAPermutation) {
    Rows rows = random_rows(100, 100, 7);
    EXPECT_EQ(random_rows(100, 10, 7), Rows(rows.begin(), rows.begin() + 10));
    EXPECT_NE(random_rows(100, 10, 8), Rows(rows.begin(), rows.begin() + 10));
    std::sort(rows.begin(), rows.end());
    Rows all(100);
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(rows, all);
}

TEST(PapersBanks, SomeRowsKeepTheirSimilarities) {
    const Kept bank(axes(), leaning());
    const Kept some = bank.some({5, 1});
    std::vector<float> scores(2 * 3);
    some.read(0, 3, scores.data());
    EXPECT_EQ(scores, (std::vector<float>{0, 0, 0, 0, 1.0F, 0.5F}));
}

Problem random_problem(idx_t rows, int d) {
    Problem problem;
    std::uint32_t seed = 0;
    for (Matrix* one : {&problem.gallery, &problem.queries, &problem.querybank,
                        &problem.gallerybank}) {
        *one = testdata::gaussian(rows, d, ++seed);
        // Half of the dimensions are empty.
        for (idx_t i = 0; i < rows * d; i++) {
            if (i % d >= d / 2) one->data[i] = 0;
        }
        for (idx_t i = 0; i < rows; i++) {
            float* row = one->data.data() + i * d;
            const float norm =
                std::sqrt(std::inner_product(row, row + d, row, 0.0F));
            for (int t = 0; t < d; t++) row[t] /= norm;
        }
    }
    problem.truth = faiss_qbnorm::contiguous_groundtruth(rows, rows);
    return problem;
}

double product(const Matrix& a, idx_t i, const Matrix& b, idx_t j) {
    return std::inner_product(a.view().row(i), a.view().row(i) + a.d,
                              b.view().row(j), 0.0);
}

// Axes that hold all there is lose nothing, and fewer lose something.
TEST(PapersDataset, PrincipalAxesKeepScores) {
    const Problem problem = random_problem(40, 8);
    const Problem half = projected(problem, 4);
    EXPECT_EQ(half.gallery.d, 4);
    double most = 0;
    const Problem quarter = projected(problem, 2);
    for (idx_t i = 0; i < 40; i++) {
        const double score = product(problem.queries, i, problem.gallery, i);
        EXPECT_NEAR(product(half.queries, i, half.gallery, i), score, 1e-5);
        const double less = product(quarter.queries, i, quarter.gallery, i);
        most = std::max(most, std::fabs(less - score));
    }
    EXPECT_GT(most, 0.1);
}

TEST(PapersDataset, ReversedChangesSides) {
    Problem problem = random_problem(3, 4);
    problem.queries = testdata::gaussian(4, 4, 9);
    problem.truth = {1, {2, 0, 2, 1}};
    const Problem other = reversed(problem);
    EXPECT_EQ(other.gallery.rows, 4);
    EXPECT_EQ(other.querybank.data, problem.gallerybank.data);
    EXPECT_EQ(other.gallerybank.data, problem.querybank.data);
    EXPECT_EQ(other.truth.width, 2);
    EXPECT_EQ(other.truth.labels, (Rows{1, -1, 3, -1, 0, 2}));
}

}  // namespace
