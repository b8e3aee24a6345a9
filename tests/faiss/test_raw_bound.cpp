// Oracle: the scores next to where a normalised score reaches the threshold,
// subtracted one by one.

#include "faiss_qbnorm/faiss/raw_bound.h"

#include <gtest/gtest.h>

#include <random>

namespace {

using faiss_qbnorm::raw_bound;

constexpr float infinity = std::numeric_limits<float>::infinity();

TEST(RawBound, LosesNoItemAndFewPassNeedlessly) {
    std::mt19937 random(1);
    const auto any = [&] {
        const auto mantissa = static_cast<float>(random()) * 0x1p-32F - 0.5F;
        return std::ldexp(mantissa, static_cast<int>(random() % 40) - 20);
    };
    for (int i = 0; i < 100000; i++) {
        const float least = any();
        const float offset = any();
        const float bound = raw_bound(least, offset);
        float score = least + offset;
        for (int step = 0; step < 4; step++) {
            score = std::nextafter(score, -infinity);
        }
        for (int step = 0; step < 9; step++) {
            if (score - offset >= least) {
                ASSERT_GE(score, bound);
            }
            score = std::nextafter(score, infinity);
        }
        const float size = std::fabs(least) + std::fabs(offset);
        ASSERT_GE(bound, double{least} + offset - size * 0x1p-21);
    }
}

TEST(RawBound, IsAsInfiniteAsTheThreshold) {
    constexpr float largest = std::numeric_limits<float>::max();
    EXPECT_EQ(raw_bound(-infinity, 3), -infinity);
    EXPECT_EQ(raw_bound(infinity, 3), infinity);
    EXPECT_EQ(raw_bound(-largest, -largest), -infinity);
    EXPECT_EQ(raw_bound(0, 0), 0);
}

}  // namespace
