// Oracle: core/formula.h's exact_score, bit for bit.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <utility>

#include "faiss_qbnorm/core/formula.h"
#include "faiss_qbnorm/cpu/simd.h"
#include "tests/cpu/guarded.h"
#include "tests/cpu/instruction_sets.h"

namespace {

using namespace faiss_qbnorm;
using Floats = guarded::Array<float>;
using Random = std::mt19937;

class SimdExact : public instruction_sets::OnEach {};
QBNORM_ON_EACH_INSTRUCTION_SET(SimdExact);

float normal(Random& random) {
    return std::normal_distribution<float>()(random);
}

/// From 1e-30 to 1e30.
float of_any_magnitude(Random& random) {
    std::uniform_real_distribution<float> exponent(-30, 30);
    return std::pow(10.0F, exponent(random)) * normal(random);
}

/// Large ones that cancel leave what the order of summation makes of the rest.
float of_two_magnitudes(Random& random) {
    if (random() % 2 == 0) return normal(random);
    return random() % 2 == 0 ? 0x1p30F : -0x1p30F;
}

std::vector<float> values(int n, std::uint32_t seed,
                          float (*element)(Random&)) {
    Random random(seed);
    std::vector<float> result(n);
    for (float& x : result) x = element(random);
    return result;
}

void expect_formulas(Metric metric, const std::vector<float>& a,
                     const std::vector<float>& b) {
    const Floats left(a);
    const Floats right(b);
    const auto d = static_cast<int>(a.size());
    ASSERT_EQ(std::bit_cast<std::uint32_t>(
                  simd::exact_score(metric, left.data(), right.data(), d)),
              std::bit_cast<std::uint32_t>(
                  exact_score(metric, left.data(), right.data(), d)))
        << "d " << d;
}

TEST_P(SimdExact, IsFormulasScoreForAnySize) {
    for (const int d : instruction_sets::sizes()) {
        for (const auto& element :
             {normal, of_any_magnitude, of_two_magnitudes}) {
            for (const Metric metric : {Metric::inner_product, Metric::l2}) {
                expect_formulas(metric, values(d, d, element),
                                values(d, d + 1000, element));
                if (HasFatalFailure()) return;
            }
        }
    }
}

TEST_P(SimdExact, OverflowsAsFormulas) {
    const std::vector<float> huge(33, 3e38F);
    const std::vector<float> low(33, -3e38F);
    for (const Metric metric : {Metric::inner_product, Metric::l2}) {
        expect_formulas(metric, huge, huge);
        expect_formulas(metric, huge, low);
        expect_formulas(metric, huge, std::vector<float>(33, 0));
    }
}

/// Of one row with `count` others at once.
void expect_formulas_of_many(Metric metric, idx_t count, int d) {
    const Floats left(values(d, d, of_two_magnitudes));
    std::vector<std::unique_ptr<Floats>> others;
    std::vector<const float*> rows;
    for (idx_t i = 0; i < count; i++) {
        others.push_back(std::make_unique<Floats>(
            values(d, static_cast<std::uint32_t>(i), of_two_magnitudes)));
        rows.push_back(others.back()->data());
    }
    Floats scores(count, -7);
    simd::exact_scores(metric, left.data(), rows.data(), count, d,
                       scores.data());
    for (idx_t i = 0; i < count; i++) {
        ASSERT_EQ(std::bit_cast<std::uint32_t>(scores[i]),
                  std::bit_cast<std::uint32_t>(
                      exact_score(metric, left.data(), rows[i], d)))
            << "row " << i << " of " << count << ", d " << d;
    }
}

TEST_P(SimdExact, IsFormulasScoreOfManyAtOnce) {
    for (const int d : instruction_sets::sizes()) {
        for (const idx_t count : {0, 1, 3, 4, 5, 11}) {
            for (const Metric metric : {Metric::inner_product, Metric::l2}) {
                expect_formulas_of_many(metric, count, d);
                if (HasFatalFailure()) return;
            }
        }
    }
}

/// Two floats whose difference is x, where there are such.
std::optional<std::pair<float, float>> difference_that_is(double x) {
    const auto high = static_cast<float>(x);
    const auto low = static_cast<float>(high - x);
    if (double{high} - low != x) return std::nullopt;
    return std::pair{high, low};
}

/// Distances of which the rounding to float is decided by the last bit of the
/// sum in double: elements 0 and 8 are summed, element 1 fills that up to the
/// middle between two floats.
struct Rows {
    std::vector<float> a;
    std::vector<float> b;
};

std::optional<Rows> rows_amid_two_floats(int d, Random& random) {
    Rows rows{std::vector<float>(d), std::vector<float>(d)};
    for (const int i : {0, 8}) {
        rows.a[i] = 1 + std::fabs(normal(random));
        rows.b[i] = 1e-7F * normal(random);
    }
    const double x = double{rows.a[0]} - rows.b[0];
    const double y = double{rows.a[8]} - rows.b[8];
    const double sum = x * x + y * y;
    const float above = static_cast<float>(sum) * (1 + 0x1p-8F);
    const double middle = (double{above} + std::nextafter(above, 1e9F)) / 2;
    const double rest = std::sqrt(middle - sum);
    if (sum + rest * rest != middle) return std::nullopt;
    const auto filling = difference_that_is(rest);
    if (!filling) return std::nullopt;
    rows.a[1] = filling->first;
    rows.b[1] = filling->second;
    return rows;
}

TEST_P(SimdExact, RoundsProductsAndSumsApart) {
    Random random(1);
    int found = 0;
    for (int i = 0; i < 20000; i++) {
        // Element 8 in the tail, and in whole vectors.
        const auto rows = rows_amid_two_floats(i % 2 == 0 ? 9 : 16, random);
        if (!rows) continue;
        found++;
        expect_formulas(Metric::l2, rows->a, rows->b);
        if (HasFatalFailure()) return;
    }
    EXPECT_GT(found, 100);
}

}  // namespace
