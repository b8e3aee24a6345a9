// Oracle: reference.h, which ranks whole matrices naively in double.

#include <gtest/gtest.h>
#include <omp.h>

#include "faiss_qbnorm/tune/rank_unlabelled.h"
#include "tests/tune/reference.h"

namespace {

using namespace faiss_qbnorm;
using tune_oracle::Rows;

constexpr float betas[] = {3, 20, 900};

/// Expects each list to be the head of the oracle's ranking, where neighbours
/// in it are further apart than rounding.
void expect_lists(const RankedLabels& lists, const Rows& scores) {
    ASSERT_EQ(lists.nq, static_cast<idx_t>(scores.size()));
    for (idx_t q = 0; q < lists.nq; q++) {
        const auto order = oracle::ranking(scores[q]);
        ASSERT_EQ(lists.depth,
                  std::min<idx_t>(10, static_cast<idx_t>(order.size())));
        for (idx_t i = 0; i < lists.depth; i++) {
            ASSERT_NEAR(scores[q][lists.row(q)[i]], scores[q][order[i]], 1e-6)
                << "query " << q << ", slot " << i;
        }
    }
}

void expect_rankings(const UnlabelledRankings& found, const Rows& queries,
                     const Rows& bank, idx_t activation_k) {
    expect_lists(found.raw, queries);
    ASSERT_EQ(found.is.size(), std::size(betas));
    for (size_t b = 0; b < std::size(betas); b++) {
        expect_lists(found.is[b], tune_oracle::ranked_by(Method::is, queries,
                                                         bank, betas[b]));
    }
    const auto active = oracle::activation_set(bank, activation_k);
    ASSERT_EQ(found.open.size(), queries.size());
    for (size_t q = 0; q < queries.size(); q++) {
        EXPECT_EQ(found.open[q],
                  active.contains(oracle::ranking(queries[q])[0]));
    }
}

struct Scores {
    Matrix bank;
    Matrix queries;

    explicit Scores(idx_t items, idx_t m = 90, idx_t nq = 40) {
        const Matrix gallery = testdata::unit(items, 12, 1);
        bank = tune_oracle::similarities(testdata::unit(m, 12, 2), gallery);
        queries = tune_oracle::similarities(testdata::unit(nq, 12, 3), gallery);
    }
};

TEST(RankUnlabelled, QueriesByTheBank) {
    // More items than are read at once, fewer than in a list, and one.
    for (const idx_t items : {5000, 300, 6, 1}) {
        const Scores scores(items);
        for (const idx_t k : {1, 4}) {
            const UnlabelledRankings found = rank_unlabelled(
                MatrixSimilarities(scores.bank.view(), "bank"),
                MatrixSimilarities(scores.queries.view(), "queries"), betas, k);
            expect_rankings(found, tune_oracle::rows_of(scores.queries),
                            tune_oracle::rows_of(scores.bank), k);
        }
    }
}

TEST(RankUnlabelled, HeldOutRowsByTheOthers) {
    const Scores scores(300, 83);
    const Rows bank = tune_oracle::rows_of(scores.bank);
    std::vector<idx_t> order(83);
    for (idx_t i = 0; i < 83; i++) order[i] = i * 7 % 83;
    // Rows left over, and none.
    for (const idx_t held_out : {20, 41}) {
        const idx_t splits = 83 / held_out;
        const auto found =
            rank_held_out(MatrixSimilarities(scores.bank.view(), "bank"), order,
                          held_out, splits, betas, 2);
        ASSERT_EQ(static_cast<idx_t>(found.size()), splits);
        for (idx_t s = 0; s < splits; s++) {
            Rows held;
            Rows others;
            for (idx_t i = 0; i < 83; i++) {
                const bool out = i / held_out == s;
                (out ? held : others).push_back(bank[order[i]]);
            }
            expect_rankings(found[s], held, others, 2);
        }
    }
}

TEST(RankUnlabelled, DoesNotDependOnThreads) {
    const Scores scores(300);
    const auto labels = [&](int threads) {
        const int before = omp_get_max_threads();
        omp_set_num_threads(threads);
        const UnlabelledRankings found = rank_unlabelled(
            MatrixSimilarities(scores.bank.view(), "bank"),
            MatrixSimilarities(scores.queries.view(), "queries"), betas, 1);
        omp_set_num_threads(before);
        return found.is[1].labels;
    };
    EXPECT_EQ(labels(1), labels(5));
}

}  // namespace
