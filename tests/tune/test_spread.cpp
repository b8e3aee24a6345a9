// Oracle: entropies worked by hand, and the naive ones of reference.h.

#include <gtest/gtest.h>

#include "faiss_qbnorm/tune/spread.h"
#include "tests/tune/reference.h"

namespace {

using namespace faiss_qbnorm;

RankedLabels lists(idx_t nq, idx_t depth, std::vector<idx_t> labels) {
    RankedLabels result;
    result.nq = nq;
    result.depth = depth;
    result.labels = std::move(labels);
    return result;
}

std::vector<idx_t> all(idx_t nq) {
    std::vector<idx_t> queries(nq);
    std::iota(queries.begin(), queries.end(), 0);
    return queries;
}

TEST(Spread, IsTheEntropyOfTheItems) {
    SpreadMeter meter(4);
    // k = 1: items 0, 0, 0, 1; k = 5 and 10: 0 three times, 1 four, 2 once.
    const RankedLabels some = lists(4, 2, {0, 1, 0, 1, 0, 1, 1, 2});
    const double first = 3 / 4.0 * std::log(4 / 3.0) + std::log(4.0) / 4;
    const double both =
        3 / 8.0 * std::log(8 / 3.0) + std::log(2.0) / 2 + std::log(8.0) / 8;
    EXPECT_NEAR(meter.measure(some, all(4)), first + 2 * both, 1e-12);
    // Again: the meter forgets.
    EXPECT_NEAR(meter.measure(some, all(4)), first + 2 * both, 1e-12);
}

TEST(Spread, OneHubIsNothingAndAllDifferentIsEverything) {
    SpreadMeter meter(4);
    EXPECT_EQ(meter.measure(lists(4, 1, {3, 3, 3, 3}), all(4)), 0);
    EXPECT_NEAR(meter.measure(lists(4, 1, {3, 1, 0, 2}), all(4)),
                3 * std::log(4.0), 1e-12);
}

TEST(Spread, LooksAtTheQueriesNamedAndPassesOverEmptySlots) {
    SpreadMeter meter(4);
    const RankedLabels some = lists(3, 2, {0, -1, 1, -1, 1, 2});
    const std::vector<idx_t> two{0, 1};
    EXPECT_NEAR(meter.measure(some, two), 3 * std::log(2.0), 1e-12);
    const std::vector<idx_t> none;
    EXPECT_EQ(meter.measure(some, none), 0);
}

TEST(Spread, ClosedQueriesHaveTheirOtherList) {
    SpreadMeter meter(4);
    const RankedLabels open = lists(2, 1, {0, 1});
    const RankedLabels raw = lists(2, 1, {2, 0});
    const std::vector<std::uint8_t> second_closed{1, 0};
    EXPECT_EQ(meter.measure(open, all(2), second_closed, &raw), 0);
    const std::vector<std::uint8_t> first_closed{0, 1};
    EXPECT_NEAR(meter.measure(open, all(2), first_closed, &raw),
                3 * std::log(2.0), 1e-12);
}

TEST(Spread, OfManyRandomListsIsTheNaiveOne) {
    const Matrix scores = testdata::gaussian(200, 60, 3);
    TopLists top(200, 10);
    for (idx_t q = 0; q < 200; q++) {
        for (idx_t j = 0; j < 60; j++) {
            top.offer(q, {scores.view().row(q)[j], j});
        }
    }
    SpreadMeter meter(60);
    EXPECT_NEAR(meter.measure(RankedLabels(top), all(200)),
                tune_oracle::spread(tune_oracle::rows_of(scores)), 1e-10);
}

}  // namespace
