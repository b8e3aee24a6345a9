// Oracle: values worked out by hand, and the reference metric code's rules
// (ties averaged, R@1 counts only rank 0).

#include "faiss_qbnorm/eval/metrics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "faiss_qbnorm/core/error.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

TEST(RetrievalMetrics, CountRanks) {
    const RetrievalMetrics m = retrieval_metrics({0, 0.5, 4, 9, 60});
    EXPECT_DOUBLE_EQ(m.recall_1, 20);  // a tie for the first place is a miss
    EXPECT_DOUBLE_EQ(m.recall_5, 60);
    EXPECT_DOUBLE_EQ(m.recall_10, 80);
    EXPECT_DOUBLE_EQ(m.recall_50, 80);
    EXPECT_DOUBLE_EQ(m.median_rank, 5);
    EXPECT_DOUBLE_EQ(m.mean_rank, 1 + 73.5 / 5);
    EXPECT_NEAR(m.geometric_mean, std::cbrt(20.0 * 60 * 80), 1e-12);
}

TEST(RetrievalMetrics, TakeTheMiddleOfAnEvenNumber) {
    EXPECT_DOUBLE_EQ(retrieval_metrics({0, 3}).median_rank, 2.5);
    EXPECT_DOUBLE_EQ(retrieval_metrics({7}).median_rank, 8);
    EXPECT_THROW_SAYING(retrieval_metrics({}), Error, "no queries");
}

TEST(KOccurrence, CountsEveryItem) {
    const std::vector<idx_t> labels{0, 2, 2, -1, 2};
    EXPECT_EQ(k_occurrence(labels, 4), (std::vector<idx_t>{1, 0, 3, 0}));
}

TEST(KSkewness, CountsItemsNeverRetrieved) {
    // (10, 1, 1, and seven zeros): 2.58 with the zeros, .71 without.
    const std::vector<idx_t> with{10, 1, 1, 0, 0, 0, 0, 0, 0, 0};
    EXPECT_NEAR(k_skewness(with), 2.58, 0.005);
    const std::vector<idx_t> without{10, 1, 1};
    EXPECT_NEAR(k_skewness(without), 0.71, 0.005);
    const std::vector<idx_t> flat{3, 3, 3};
    EXPECT_EQ(k_skewness(flat), 0);
}

}  // namespace
