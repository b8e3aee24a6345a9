// Oracle: a full sort.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "faiss_qbnorm/cpu/simd.h"
#include "tests/cpu/guarded.h"
#include "tests/cpu/instruction_sets.h"

namespace {

using namespace faiss_qbnorm;
using Floats = guarded::Array<float>;

constexpr float infinity = std::numeric_limits<float>::infinity();

class SimdKth : public instruction_sets::OnEach {};
QBNORM_ON_EACH_INSTRUCTION_SET(SimdKth);

enum class Values { distinct, ties, of_all_magnitudes, some_infinite, equal };
const std::vector<Values> all_values{Values::distinct, Values::ties,
                                     Values::of_all_magnitudes,
                                     Values::some_infinite, Values::equal};

float value_of(Values kind, std::mt19937& random) {
    std::normal_distribution<float> normal;
    const float x = normal(random);
    switch (kind) {
        case Values::distinct:
            return x;
        case Values::ties:
            return std::round(3 * x);
        case Values::of_all_magnitudes:
            return std::copysign(std::pow(10.0F, 15 * x), normal(random));
        case Values::some_infinite:
            return random() % 4 == 0 ? std::copysign(infinity, x) : x;
        case Values::equal:
            return -0.25F;
    }
    return 0;
}

std::vector<float> values_of(Values kind, int n) {
    std::mt19937 random(n);
    std::vector<float> values(n);
    for (float& x : values) {
        x = std::clamp(value_of(kind, random), -infinity, infinity);
    }
    return values;
}

void expect_bound(const Floats& values, idx_t k, idx_t most) {
    const auto n = static_cast<idx_t>(values.size());
    const float bound = simd::kth_bound(values.data(), n, k, most);
    std::vector<float> sorted(values.begin(), values.end());
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    ASSERT_LE(bound, sorted[k - 1]);
    const auto above = std::count_if(sorted.begin(), sorted.end(),
                                     [&](float x) { return x >= bound; });
    if (above <= most) return;
    // Ties are those from the k-th to the `most`-th and the one after.
    const float next = sorted[most];
    const bool tied = next == sorted[k - 1];
    const bool infinite = std::isinf(next) || std::isinf(sorted[k - 1]);
    ASSERT_TRUE(tied || infinite)
        << above << " no less than " << bound << ", the " << k << "-th is "
        << sorted[k - 1] << ", the one after the " << most << "-th " << next;
}

TEST_P(SimdKth, HasAtLeastKNoLessAndNotManyMore) {
    for (const int n : instruction_sets::sizes()) {
        for (const Values kind : all_values) {
            const Floats values(values_of(kind, n));
            for (const idx_t k : {1, 2, 7, n / 2, n - 1, n}) {
                if (k < 1 || k > n) continue;
                for (const idx_t more : {0, 1, 8, 1000}) {
                    SCOPED_TRACE(testing::Message()
                                 << n << " values of kind "
                                 << static_cast<int>(kind) << ", k " << k
                                 << " to " << k + more);
                    expect_bound(values, k, k + more);
                    if (HasFatalFailure()) return;
                }
            }
        }
    }
}

TEST_P(SimdKth, OfInfinitiesOnly) {
    for (const int n : {1, 16, 33}) {
        for (const float value : {infinity, -infinity}) {
            const Floats values(n, value);
            EXPECT_EQ(simd::kth_bound(values.data(), n, n, n), value);
            EXPECT_EQ(simd::kth_bound(values.data(), n, 1, 1), value);
        }
    }
}

}  // namespace
