// Oracle: plain double loops, and bfloat16 from the bits in integers.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <random>

#include "faiss_qbnorm/cpu/simd.h"
#include "tests/cpu/guarded.h"
#include "tests/cpu/instruction_sets.h"

namespace {

using namespace faiss_qbnorm;
using Floats = guarded::Array<float>;
using Halves = guarded::Array<std::uint16_t>;

class SimdRows : public instruction_sets::OnEach {};
QBNORM_ON_EACH_INSTRUCTION_SET(SimdRows);

std::vector<float> normal(size_t n, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> distribution;
    std::vector<float> values(n);
    for (float& x : values) x = distribution(random);
    return values;
}

std::uint32_t bits_of(float x) {
    return std::bit_cast<std::uint32_t>(x);
}

float of_half(std::uint16_t half) {
    return std::bit_cast<float>(std::uint32_t{half} << 16);
}

bool is_denormal(float x) {
    return x != 0 && std::fabs(x) < std::numeric_limits<float>::min();
}

/// The nearer of the two bfloat16 about x, of two that are as near the even.
std::uint16_t to_half(float x) {
    const std::uint32_t low = bits_of(x) & 0xffff;
    const std::uint32_t high = bits_of(x) >> 16;
    if (is_denormal(x)) return 0;
    const bool up = low > 0x8000 || (low == 0x8000 && high % 2 == 1);
    return static_cast<std::uint16_t>(up ? high + 1 : high);
}

bool same_half(std::uint16_t a, std::uint16_t b) {
    return a == b || ((a | b) & 0x7fff) == 0;  // zero has two signs
}

double sum_of_squares(const Floats& values) {
    double sum = 0;
    for (const float x : values) sum += double{x} * x;
    return sum;
}

void expect_size(const simd::RowSize& size, const Floats& row,
                 bool with_halves) {
    Floats lost(row.size());
    for (size_t i = 0; with_halves && i < row.size(); i++) {
        lost[i] = row[i] - of_half(to_half(row[i]));
    }
    const double relative = static_cast<double>(row.size()) * 0x1p-23;
    const double squares = sum_of_squares(row);
    const double lost_squares = sum_of_squares(lost);
    EXPECT_NEAR(size.squares, squares, relative * squares);
    EXPECT_NEAR(size.lost_squares, lost_squares, relative * lost_squares);
}

/// Loads a row of `d` elements with the outputs and the center asked for.
void expect_loaded(int d, bool centered, bool with_fp32, bool with_halves) {
    const Floats row(normal(d, d));
    const Floats center(normal(d, d + 1000));
    Floats fp32(with_fp32 ? d : 0);
    Halves halves(with_halves ? d : 0);
    const simd::RowSize size =
        simd::load_row(row.data(), centered ? center.data() : nullptr, d,
                       with_fp32 ? fp32.data() : nullptr,
                       with_halves ? halves.data() : nullptr);
    Floats expected(d);
    for (int i = 0; i < d; i++) {
        expected[i] = centered ? row[i] - center[i] : row[i];
    }
    for (int i = 0; i < d; i++) {
        if (with_fp32) {
            ASSERT_EQ(bits_of(fp32[i]), bits_of(expected[i])) << i;
        }
        if (with_halves) {
            ASSERT_TRUE(same_half(halves[i], to_half(expected[i]))) << i;
        }
    }
    expect_size(size, expected, with_halves);
}

TEST_P(SimdRows, LoadRowMeasuresAndWritesRowsOfAnySize) {
    for (const int d : instruction_sets::sizes()) {
        for (int outputs = 0; outputs < 8; outputs++) {
            SCOPED_TRACE(testing::Message() << d << ", outputs " << outputs);
            expect_loaded(d, outputs & 1, outputs & 2, outputs & 4);
            if (HasFailure()) return;
        }
    }
}

/// Every finite upper half with lower halves about the tie and the ends, d at
/// once.
std::vector<std::vector<float>> rows_about_every_tie(size_t d) {
    std::vector<std::vector<float>> rows(1);
    for (std::uint32_t high = 0; high < 0x10000; high++) {
        if ((high & 0x7f80) == 0x7f80) continue;  // Inf and NaN
        for (const std::uint32_t low :
             {0x0000U, 0x0001U, 0x7fffU, 0x8000U, 0x8001U, 0xffffU}) {
            if (rows.back().size() == d) rows.emplace_back();
            rows.back().push_back(std::bit_cast<float>(high << 16 | low));
        }
    }
    return rows;
}

TEST_P(SimdRows, LoadRowRoundsToTheNearestHalfEvenInATie) {
    for (const auto& values : rows_about_every_tie(1003)) {
        const Floats row(values);
        const auto d = static_cast<int>(values.size());
        Halves halves(values.size());
        simd::load_row(row.data(), nullptr, d, nullptr, halves.data());
        for (int i = 0; i < d; i++) {
            ASSERT_TRUE(same_half(halves[i], to_half(row[i])))
                << std::hexfloat << row[i] << " became " << of_half(halves[i]);
        }
    }
}

TEST_P(SimdRows, LoadRowSaysWhereAHalfOverflowed) {
    constexpr float most_half = 0x1.fep127F;
    for (const int d : {1, 16, 37}) {
        for (const auto& [x, half] :
             {std::pair{most_half, std::uint16_t{0x7f7f}},
              std::pair{std::numeric_limits<float>::max(),
                        std::uint16_t{0x7f80}},
              std::pair{-std::numeric_limits<float>::max(),
                        std::uint16_t{0xff80}}}) {
            Floats row(d);
            row[d - 1] = x;
            Halves halves(d);
            const simd::RowSize size =
                simd::load_row(row.data(), nullptr, d, nullptr, halves.data());
            EXPECT_EQ(halves[d - 1], half);
            EXPECT_EQ(std::isinf(size.lost_squares), x != most_half) << x;
        }
    }
}

/// The sum of a row's products, and of their magnitudes.
struct Product {
    double value = 0;
    double size = 0;

    Product(const float* a, const float* b, int d) {
        for (int i = 0; i < d; i++) {
            value += double{a[i]} * b[i];
            size += std::fabs(double{a[i]} * b[i]);
        }
    }
};

void expect_dot_products(idx_t rows, idx_t columns, int d) {
    const Floats left(normal(rows * d, d));
    const Floats right(normal(columns * d, d + 1000));
    Floats products(rows * columns, NAN);
    Floats squares(rows, NAN);
    simd::dot_products(left.data(), rows, right.data(), columns, d,
                       products.data(), squares.data());
    const double relative = d * 0x1p-24;
    for (idx_t r = 0; r < rows; r++) {
        const float* row = left.data() + r * d;
        const double length = Product(row, row, d).value;
        ASSERT_NEAR(squares[r], length, relative * length) << r;
        for (idx_t c = 0; c < columns; c++) {
            const Product product(row, right.data() + c * d, d);
            ASSERT_NEAR(products[c * rows + r], product.value,
                        relative * product.size)
                << r << ", " << c;
        }
    }
}

TEST_P(SimdRows, DotProductsOfAnyShape) {
    for (const int d : instruction_sets::sizes()) {
        for (const idx_t columns : {1, 2, 3, 4, 5, 7, 8}) {
            SCOPED_TRACE(testing::Message() << columns << " x " << d);
            expect_dot_products(1 + d % 3, columns, d);
            if (HasFatalFailure()) return;
        }
    }
}

TEST_P(SimdRows, ToL2ScoresBitForBit) {
    for (const int columns : instruction_sets::sizes()) {
        const idx_t rows = 1 + columns % 3;
        const Floats products(normal(rows * columns, columns));
        const Floats left(normal(rows, 1));
        const Floats right(normal(columns, 2));
        Floats tile(std::vector<float>(products.begin(), products.end()));
        simd::to_l2_scores(tile.data(), rows, columns, left.data(),
                           right.data());
        for (idx_t i = 0; i < rows * columns; i++) {
            const float twice = 2 * products[i];
            const float less = twice - left[i / columns];
            ASSERT_EQ(bits_of(tile[i]), bits_of(less - right[i % columns]))
                << i << " of " << columns;
        }
    }
}

TEST_P(SimdRows, TheChoiceOfInstructionsIsReal) {
    // Ones vanish in the lane of 2^24, so that the sum tells the lanes.
    std::vector<float> row(64, 0);
    for (size_t i = 4; i < row.size(); i += 4) row[i] = 1;
    for (size_t i = 1; i < row.size(); i += 16) row[i] = 1;
    row[0] = 0x1p12F;
    const float squares =
        simd::load_row(row.data(), nullptr, 64, nullptr, nullptr).squares;
    const std::map<int, float> seen{{1, 0}, {4, 4}, {8, 8 + 4}, {16, 12 + 4}};
    EXPECT_EQ(squares, 0x1p24F + seen.at(lanes()));
}

}  // namespace
