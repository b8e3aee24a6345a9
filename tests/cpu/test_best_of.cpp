// Oracle: a full sort.

#include "faiss_qbnorm/cpu/best_of.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace {

using namespace faiss_qbnorm;

std::vector<Scored> sorted(const std::vector<float>& scores, idx_t k) {
    std::vector<Scored> all;
    for (size_t i = 0; i < scores.size(); i++) {
        if (std::isnan(scores[i])) continue;
        all.push_back({scores[i], static_cast<idx_t>(i)});
    }
    std::sort(all.begin(), all.end(), [](const Scored& a, const Scored& b) {
        return a.score != b.score ? a.score > b.score : a.label < b.label;
    });
    all.resize(std::min<size_t>(all.size(), k));
    return all;
}

TEST(BestOf, OffersAllThatBelongIntoTheList) {
    std::mt19937 random(3);
    const float odd[] = {NAN, INFINITY, -INFINITY};
    for (const size_t n : {0, 1, 15, 16, 17, 160, 1000}) {
        for (const idx_t k : {1, 3, 10, 100, 1500}) {
            for (const unsigned values : {3U, 100U, 1000000U}) {
                std::vector<float> scores(n);
                std::vector<idx_t> labels(n);
                for (size_t i = 0; i < n; i++) {
                    labels[i] = static_cast<idx_t>(i);
                    scores[i] = static_cast<float>(random() % values);
                    if (random() % 20 == 0) scores[i] = odd[random() % 3];
                }
                BestOf best_of;
                TopLists list(1, k);
                for (size_t i = 0; i < n; i += 300) {
                    best_of.offer(&scores[i], &labels[i],
                                  std::min<size_t>(300, n - i), list);
                }
                const auto expected = sorted(scores, k);
                const auto got = list.sorted(0);
                ASSERT_EQ(got.size(), expected.size());
                for (size_t i = 0; i < got.size(); i++) {
                    ASSERT_EQ(got[i].label, expected[i].label);
                    ASSERT_EQ(got[i].score, expected[i].score);
                }
            }
        }
    }
}

}  // namespace
