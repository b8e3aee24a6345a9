// Oracle: norms in double; for the fingerprint the properties that its header
// promises, and two values computed with Python's xxhash, because .qbn files
// rely on them.

#include "faiss_qbnorm/core/matrix.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>

#include "faiss_qbnorm/core/error.h"
#include "tests/data.h"
#include "tests/temporary_folder.h"

namespace faiss_qbnorm {
namespace {

using Limits = std::numeric_limits<float>;

TEST(CheckFinite, TakesEveryFiniteNumber) {
    const std::vector<float> values{0,
                                    -0.0F,
                                    Limits::max(),
                                    Limits::lowest(),
                                    Limits::denorm_min(),
                                    Limits::min()};
    EXPECT_NO_THROW(check_finite(MatrixView{values.data(), 3, 2}, "bank"));
    EXPECT_NO_THROW(check_finite(MatrixView{values.data(), 0, 2}, "bank"));
    EXPECT_NO_THROW(check_finite(MatrixView{}, "bank"));
    const std::vector<idx_t> labels{5, 6, 7};
    EXPECT_NO_THROW(
        check_finite({{values.data(), 3, 2}, 0, labels.data()}, "gallery"));
}

TEST(CheckFinite, NamesTheRowByItsLabel) {
    const std::vector<idx_t> labels{50, 10, 90, 30};
    for (const float bad : {Limits::quiet_NaN(), Limits::signaling_NaN(),
                            Limits::infinity(), -Limits::infinity()}) {
        for (int at = 0; at < 12; at++) {
            std::vector<float> values(12, 1);
            values[at] = bad;
            const MatrixView matrix{values.data(), 4, 3};
            const int row = at / 3;
            EXPECT_THROW_SAYING(
                check_finite(matrix, "bank.npy"), Error,
                "bank.npy: row " + std::to_string(row) + " holds NaN or Inf");
            EXPECT_THROW_SAYING(
                check_finite({matrix, 70}, "gallery"), Error,
                "gallery: row " + std::to_string(70 + row) + " holds");
            EXPECT_THROW_SAYING(
                check_finite({matrix, 0, labels.data()}, "gallery"), Error,
                "gallery: row " + std::to_string(labels[row]) + " holds");
        }
    }
}

TEST(CheckFinite, SeesEveryPlaceOfALongRow) {
    for (const float bad : {Limits::quiet_NaN(), -Limits::infinity()}) {
        for (int at = 0; at < 67; at++) {
            std::vector<float> row(67, -Limits::max());
            const MatrixView matrix{row.data(), 1, 67};
            EXPECT_NO_THROW(check_finite(matrix, "x"));
            row[at] = bad;
            EXPECT_THROW_SAYING(check_finite(matrix, "x"), Error,
                                "x: row 0 holds");
        }
    }
}

TEST(CheckFinite, NamesTheFirstOfManyRows) {
    std::vector<float> values(1000, 1);
    for (size_t i = 123; i < values.size(); i++) values[i] = Limits::infinity();
    EXPECT_THROW_SAYING(check_finite(MatrixView{values.data(), 1000, 1}, "x"),
                        Error, "x: row 123 holds");
}

TEST(NormalizeRows, DividesByTheNorm) {
    const Matrix before = testdata::gaussian(100, 37, 2);
    Matrix after = before;
    normalize_rows(after.data.data(), after.rows, after.d);
    for (idx_t i = 0; i < before.rows; i++) {
        double squares = 0;
        for (int j = 0; j < before.d; j++) {
            squares += std::pow(before.view().row(i)[j], 2);
        }
        for (int j = 0; j < before.d; j++) {
            EXPECT_FLOAT_EQ(after.view().row(i)[j],
                            static_cast<float>(before.view().row(i)[j] /
                                               std::sqrt(squares)));
        }
    }
}

TEST(NormalizeRows, LeavesZerosAndReachesTheExtremes) {
    std::vector<float> values{
        0, -0.0F, Limits::max(), Limits::max(), Limits::denorm_min(), 0, -5, 0};
    normalize_rows(values.data(), 4, 2);
    const auto half = static_cast<float>(std::sqrt(0.5));
    EXPECT_EQ(values, (std::vector<float>{0, -0.0F, half, half, 1, 0, -1, 0}));
    EXPECT_TRUE(std::signbit(values[1]));
}

class FingerprintTest : public testing::TestWithParam<int> {
  protected:
    static constexpr idx_t rows = 20;
    const int d_ = GetParam();
    Matrix matrix_ = testdata::gaussian(rows, d_, 3);
    const std::uint64_t whole_ = fingerprint({matrix_.view()});
};

TEST_P(FingerprintTest, IsTheSameInAnyOrder) {
    std::vector<idx_t> labels(rows);
    std::iota(labels.begin(), labels.end(), 0);
    EXPECT_EQ(fingerprint({matrix_.view(), 0, labels.data()}), whole_);
    std::shuffle(labels.begin(), labels.end(), std::mt19937(4));
    std::vector<float> shuffled;
    for (const idx_t label : labels) {
        const float* row = matrix_.view().row(label);
        shuffled.insert(shuffled.end(), row, row + d_);
    }
    EXPECT_EQ(fingerprint({{shuffled.data(), rows, d_}, 0, labels.data()}),
              whole_);
    EXPECT_NE(fingerprint({{shuffled.data(), rows, d_}}), whole_);
}

TEST_P(FingerprintTest, AddsUpOverParts) {
    for (idx_t cut = 0; cut <= rows; cut++) {
        const MatrixView view = matrix_.view();
        EXPECT_EQ(fingerprint({view.slice(0, cut)}) +
                      fingerprint({view.slice(cut, rows), cut}),
                  whole_);
    }
}

TEST_P(FingerprintTest, SeesLabels) {
    std::vector<idx_t> labels(rows);
    std::iota(labels.begin(), labels.end(), 0);
    std::swap(labels[3], labels[11]);
    EXPECT_NE(fingerprint({matrix_.view(), 0, labels.data()}), whole_);
    EXPECT_NE(fingerprint({matrix_.view(), 1}), whole_);
    EXPECT_NE(fingerprint({matrix_.view(), idx_t{1} << 32}), whole_);
}

TEST_P(FingerprintTest, SeesEveryBit) {
    const auto flip = [](float& x, int bit) {
        x = std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) ^ (1U << bit));
    };
    std::set<std::uint64_t> seen{whole_};
    for (int j = 0; j < d_; j++) {
        for (int bit = 0; bit < 32; bit++) {
            float& x = matrix_.data[7 * d_ + j];
            flip(x, bit);
            seen.insert(fingerprint({matrix_.view()}));
            flip(x, bit);
        }
    }
    EXPECT_EQ(seen.size(), 1U + 32 * d_);
}

// XXH3 has other code for each of these lengths.
INSTANTIATE_TEST_SUITE_P(Dimensions, FingerprintTest,
                         testing::Values(1, 2, 4, 20, 50, 300));

TEST(Fingerprint, DoesNotChange) {
    const std::vector<float> values{1, 2, 3, 4, 5, 6};
    EXPECT_EQ(fingerprint({{values.data(), 2, 3}}), 18053791037074468957U);
    EXPECT_EQ(fingerprint({{values.data(), 1, 6}, 5}), 14429729758275984778U);
    EXPECT_EQ(fingerprint({{values.data(), 0, 6}}), 0U);
}

}  // namespace
}  // namespace faiss_qbnorm
