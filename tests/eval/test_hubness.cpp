// Oracle: counts and skewness worked out by hand.

#include "faiss_qbnorm/eval/hubness.h"

#include <gtest/gtest.h>

namespace {

using namespace faiss_qbnorm;

using Labels = std::vector<idx_t>;

TEST(Hubness, CountsItemsNeverRetrieved) {
    // Of ten items: one ten times, two once, seven never; mean 1.2.
    Labels labels(10, 4);
    labels.insert(labels.end(), {7, -1, 9, -1});
    const Hubness result = hubness(labels, 2, 10);
    EXPECT_EQ(result.k, 2);
    EXPECT_EQ(result.occurrences, (Labels{0, 0, 0, 0, 10, 0, 0, 1, 0, 1}));
    EXPECT_NEAR(result.skewness, 2.58, 0.005);  // .71 without the seven
    EXPECT_NEAR(result.retrieved, 0.3, 1e-12);
    EXPECT_EQ(result.max_occurrence, 10);
}

TEST(Hubs, ComeWithTheBankQueriesThatTheyTake) {
    const Labels occurrences{3, 0, 9, 3, 1};
    // Of four bank queries, two items each; the second has none.
    const BankLists lists{2, Labels{2, 0, -1, -1, 3, 2, 2, 3},
                          std::vector<float>(8, 0)};
    const Labels first = first_items(lists);
    EXPECT_EQ(first, (Labels{2, -1, 3, 2}));
    const std::vector<Hub> hubs = top_hubs(occurrences, 3, first);
    ASSERT_EQ(hubs.size(), 3U);
    EXPECT_EQ(hubs[0].label, 2);
    EXPECT_EQ(hubs[0].occurrence, 9);
    EXPECT_EQ(hubs[0].bank_queries, (Labels{0, 3}));
    EXPECT_EQ(hubs[1].label, 0) << "the lower of two that are level";
    EXPECT_EQ(hubs[1].bank_queries, Labels{});
    EXPECT_EQ(hubs[2].label, 3);
    EXPECT_EQ(hubs[2].bank_queries, (Labels{2}));
}

TEST(Hubs, AreNeverItemsThatDoNotComeUp) {
    EXPECT_EQ(top_hubs(Labels{0, 2, 0}, 10, {}).size(), 1U);
    EXPECT_EQ(top_hubs(Labels{0, 2, 1}, 0, {}).size(), 0U);
}

}  // namespace
