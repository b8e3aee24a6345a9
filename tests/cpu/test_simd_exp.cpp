// Oracle: expl and expm1l of the C library, summed in long double.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "faiss_qbnorm/cpu/simd.h"
#include "tests/cpu/guarded.h"
#include "tests/cpu/instruction_sets.h"

namespace {

using namespace faiss_qbnorm;
using Floats = guarded::Array<float>;
using Flags = guarded::Array<std::uint8_t>;

class SimdExp : public instruction_sets::OnEach {};
QBNORM_ON_EACH_INSTRUCTION_SET(SimdExp);

constexpr double u = 0x1p-24;
constexpr float ln2 = 0x1.62e43p-1F;  // exponents of two are the scores
const std::vector<float> betas{1e-25F, 1e-10F, 1e-3F, ln2, 1, 20, 1e3F, 1e4F};

/// What one score adds, and how far off that may be: the exponent by the
/// roundings of beta's scale, the product and, unless that is 0, the shift; the
/// power by what simd.cpp says of its polynomials and the last rounding.
struct Term {
    long double exp;
    long double expm1;
    long double exp_error;
    long double expm1_error;

    Term(float score, float shift, float beta, bool fine) {
        const long double x = beta * (static_cast<long double>(score) - shift);
        const long double least = fine ? 0x1p-126L : 0x1p-125L;
        exp = expl(x);
        expm1 = expm1l(x);
        long double off = (beta == ln2 ? 0.2 : 2.3) * fabsl(x);
        if (shift != 0) off += fabsl(x);
        if (shift != 0 && !fine) {  // multiplied before they are subtracted
            off += beta * (std::fabs(score) + std::fabs(shift));
        }
        exp_error = u * exp * (off + (fine ? 1.6 : 3.6));
        if (exp <= least) exp_error = least;  // or as little
        expm1_error = u * (exp * off + 2.2 * fabsl(expm1));
    }
};

/// A row's sums, and how far off those may be.
struct Sums {
    long double exp = 0;
    long double expm1 = 0;
    long double exp_error = 0;
    long double expm1_error = 0;

    void add(const Term& term) {
        exp += term.exp;
        expm1 += term.expm1;
        exp_error += term.exp_error;
        expm1_error += term.expm1_error;
        magnitudes += fabsl(term.expm1);
        count++;
    }
    // Float additions: each may lose a rounding of what was summed before.
    void allow_for_summing() {
        exp_error += count * u * exp;
        expm1_error += count * u * magnitudes;
    }

  private:
    long double magnitudes = 0;
    int count = 0;
};

/// Scores whose exponents beta (s - shift) are from `least` to `most`.
std::vector<float> scores(float shift, float beta, float least, float most,
                          size_t n, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> exponent(least, most);
    std::vector<float> result(n);
    for (float& s : result) {
        s = std::min(shift + exponent(random) / beta, 1e30F);
    }
    return result;
}

/// beta (s - shift) is within these where shift is 0.
struct Range {
    float least;
    float most;
};
const std::vector<Range> ranges{
    {-90, 69}, {-1, 1}, {-1e-3F, 1e-3F}, {-1e-6F, 1e-6F}};

void expect_one(float score, float shift, float beta, bool fine,
                const simd::ExpSums& got, float times) {
    const Term term(score, shift, beta, fine);
    ASSERT_NEAR(got.exp / times, term.exp, term.exp_error)
        << "beta " << beta << ", score " << score << ", shift " << shift;
    if (!fine) return;
    ASSERT_NEAR(got.expm1 / times, term.expm1, term.expm1_error)
        << "beta " << beta << ", score " << score << ", shift " << shift;
}

/// Rows of one score, repeated: their sums are `columns` times the score's, to
/// the bit where a lane adds it once.
void expect_rows_of_one_score(idx_t columns, float beta, const Range& range) {
    constexpr idx_t rows = 300;
    const std::vector<float> distinct =
        scores(0, beta, range.least, range.most, rows, 1);
    Floats tile(rows * columns);
    for (idx_t i = 0; i < rows * columns; i++) tile[i] = distinct[i / columns];
    const Floats shifts(rows, 0);
    Flags fine(rows);
    for (idx_t r = 0; r < rows; r++) fine[r] = r % 2;
    guarded::Array<simd::ExpSums> sums(rows);
    simd::exp_sums(tile.data(), rows, columns, beta, shifts.data(), fine.data(),
                   sums.data());
    for (idx_t r = 0; r < rows; r++) {
        expect_one(distinct[r], 0, beta, fine[r], sums[r],
                   static_cast<float>(columns));
    }
}

TEST_P(SimdExp, EachTermIsAFewRoundingsOff) {
    for (const float beta : betas) {
        for (const Range& range : ranges) {
            // The tail; once around the loop over vectors.
            for (const idx_t columns : {1, 2 * lanes()}) {
                expect_rows_of_one_score(columns, beta, range);
                if (HasFatalFailure()) return;
            }
        }
    }
}

void expect_sums(idx_t rows, idx_t columns, float beta, const Range& range) {
    std::vector<float> shifts;
    std::vector<float> all;
    for (idx_t r = 0; r < rows; r++) {
        shifts.push_back(0.3F * static_cast<float>(r));
        const auto row = scores(shifts.back(), beta, range.least, range.most,
                                columns, static_cast<std::uint32_t>(r));
        all.insert(all.end(), row.begin(), row.end());
    }
    const Floats tile(all);
    const Floats guarded_shifts(shifts);
    Flags fine(rows);
    for (idx_t r = 0; r < rows; r++) fine[r] = r % 2;
    guarded::Array<simd::ExpSums> sums(rows);
    simd::exp_sums(tile.data(), rows, columns, beta, guarded_shifts.data(),
                   fine.data(), sums.data());
    for (idx_t r = 0; r < rows; r++) {
        Sums expected;
        for (idx_t c = 0; c < columns; c++) {
            expected.add(Term(tile[r * columns + c], shifts[r], beta, fine[r]));
        }
        expected.allow_for_summing();
        ASSERT_NEAR(sums[r].exp, expected.exp, expected.exp_error);
        if (fine[r]) {
            ASSERT_NEAR(sums[r].expm1, expected.expm1, expected.expm1_error);
        } else {
            ASSERT_EQ(sums[r].expm1, sums[r].exp - static_cast<float>(columns));
        }
    }
}

TEST_P(SimdExp, SumsOfRowsOfAnySize) {
    for (const int columns : instruction_sets::sizes()) {
        for (const float beta : betas) {
            for (const Range& range : ranges) {
                SCOPED_TRACE(testing::Message()
                             << columns << " columns, beta " << beta << ", to "
                             << range.most);
                expect_sums(1 + columns % 4, columns, beta, range);
                if (HasFatalFailure()) return;
            }
        }
    }
}

TEST_P(SimdExp, WhatIsBelowTheLeastPowerCountsAsThatOrLess) {
    constexpr float most = std::numeric_limits<float>::max();
    constexpr float infinity = std::numeric_limits<float>::infinity();
    for (const int columns : instruction_sets::sizes()) {
        for (const float score : {-1e3F, -1e30F, -most, -infinity}) {
            const Floats tile(2 * columns, score);
            const Floats shifts(2, 1e-3F);
            Flags fine(2);
            fine[1] = 1;
            guarded::Array<simd::ExpSums> sums(2);
            simd::exp_sums(tile.data(), 2, columns, 1, shifts.data(),
                           fine.data(), sums.data());
            const auto n = static_cast<float>(columns);
            ASSERT_GE(sums[0].exp, 0) << score;
            ASSERT_LE(sums[0].exp, n * 0x1p-125F * 1.001F) << score;
            ASSERT_EQ(sums[1].exp, n * 0x1p-126F) << score;
            ASSERT_EQ(sums[0].expm1, -n) << score;
            ASSERT_EQ(sums[1].expm1, -n) << score;
        }
    }
}

TEST_P(SimdExp, TheShiftItselfAddsOneAndNothing) {
    for (const float shift : {0.0F, 0.1F, -3e4F, 1e30F}) {
        const Floats tile(21, shift);
        const Floats shifts(1, shift);
        const Flags fine(1, 1);
        guarded::Array<simd::ExpSums> sums(1);
        simd::exp_sums(tile.data(), 1, 21, 1e4F, shifts.data(), fine.data(),
                       sums.data());
        EXPECT_EQ(sums[0].exp, 21) << shift;
        EXPECT_EQ(sums[0].expm1, 0) << shift;
    }
}

}  // namespace
