// Oracle: a full sort.

#include "faiss_qbnorm/core/top_lists.h"

#include <gtest/gtest.h>

#include <random>

namespace {

using namespace faiss_qbnorm;

std::vector<Scored> random_items(idx_t n, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<Scored> items(n);
    for (idx_t i = 0; i < n; i++) {
        // Few distinct scores: ties everywhere.
        items[i] = {static_cast<float>(random() % 7), i};
    }
    std::shuffle(items.begin(), items.end(), random);
    return items;
}

TEST(TopLists, KeepTheBestWhateverTheOrderOfArrival) {
    for (const idx_t n : {0, 1, 5, 100}) {
        for (const idx_t k : {1, 2, 10, 100, 150}) {
            TopLists lists(2, k);
            std::vector<Scored> items = random_items(n, 4);
            for (const Scored& item : items) lists.offer(1, item);
            std::sort(items.begin(), items.end(),
                      [](const Scored& a, const Scored& b) {
                          return a.score != b.score ? a.score > b.score
                                                    : a.label < b.label;
                      });
            const std::vector<Scored> got = lists.sorted(1);
            ASSERT_EQ(static_cast<idx_t>(got.size()), std::min(n, k));
            for (size_t i = 0; i < got.size(); i++) {
                EXPECT_EQ(got[i].label, items[i].label);
                EXPECT_EQ(got[i].score, items[i].score);
            }
            EXPECT_EQ(lists.best(1).label, n > 0 ? items[0].label : -1);
            EXPECT_EQ(lists.full(1), n >= k);
            EXPECT_EQ(lists.empty(), n == 0);
            if (n >= k) {
                EXPECT_EQ(lists.threshold(1), items[k - 1].score);
            }
            EXPECT_TRUE(lists.items(0).empty());  // the other row
        }
    }
}

TEST(TopLists, TakeManyAtOnceAsOneByOne) {
    for (const idx_t n : {0, 1, 5, 100}) {
        for (const idx_t k : {1, 2, 10, 100, 150}) {
            const std::vector<Scored> items = random_items(n, 5);
            for (const idx_t alone : {idx_t{0}, n / 3, n}) {
                TopLists expected(2, k);
                TopLists lists(2, k);
                for (const Scored& item : items) expected.offer(1, item);
                for (idx_t i = 0; i < alone; i++) lists.offer(1, items[i]);
                std::vector<Scored> rest(items.begin() + alone, items.end());
                lists.offer_all(1, rest);
                const auto want = expected.sorted(1);
                const auto got = lists.sorted(1);
                ASSERT_EQ(got.size(), want.size());
                for (size_t i = 0; i < got.size(); i++) {
                    EXPECT_EQ(got[i].label, want[i].label);
                }
                EXPECT_EQ(lists.threshold(1), expected.threshold(1));
                EXPECT_TRUE(lists.items(0).empty());
                // Still a heap: the next offers land where they should.
                for (idx_t i = 0; i < 20; i++) {
                    expected.offer(1, {static_cast<float>(i), 1000 + i});
                    lists.offer(1, {static_cast<float>(i), 1000 + i});
                }
                EXPECT_EQ(lists.threshold(1), expected.threshold(1));
            }
        }
    }
}

TEST(TopLists, WithoutRoomTakeNothing) {
    TopLists lists(1, 0);
    lists.offer(0, {1.0F, 1});
    EXPECT_TRUE(lists.items(0).empty());
    EXPECT_EQ(lists.threshold(0), std::numeric_limits<float>::infinity());
}

}  // namespace
