// Oracle: oracle.h and methods_oracle.h, the papers' formulas over whole
// matrices with full sorts; galleries ranked by hand.

#include <gtest/gtest.h>
#include <omp.h>

#include <limits>

#include "faiss_qbnorm/eval/full_ranking.h"
#include "faiss_qbnorm/fit/similarity_column.h"
#include "faiss_qbnorm/similarities/matrix_similarities.h"
#include "tests/methods_oracle.h"
#include "tests/similarities/scenes.h"

namespace {

using namespace faiss_qbnorm;
using oracle::Row;
using oracle::Rows;
using oracle::WideRow;

constexpr double infinity = std::numeric_limits<double>::infinity();

// Up to 3 right items a query, some of them -1, item 0 among them.
std::vector<idx_t> some_targets(idx_t nq, idx_t items) {
    std::vector<idx_t> targets;
    for (idx_t q = 0; q < nq; q++) {
        targets.push_back(q % 5 == 4 ? -1 : q % items);
        targets.push_back(-1);
        targets.push_back(q % 3 == 0 ? (7 * q + 3) % items : -1);
    }
    return targets;
}

/// A scene's similarities, and a table for each method.
struct Setting {
    Setting(testdata::Scene of, float beta)
        : scene(std::move(of)),
          queries(scene.queries.view(), "queries"),
          querybank(scene.querybank.view(), "querybank"),
          gallerybank(scene.gallerybank.view(), "gallerybank"),
          raw(oracle::rows_of(scene.queries.view())),
          probe1(oracle::rows_of(scene.querybank.view())),
          probe2(oracle::rows_of(scene.gallerybank.view())),
          active1(oracle::activation_set(probe1, 1)),
          active2(oracle::activation_set(probe2, 1)) {
        for (const Matrix* m : {&scene.queries, &scene.querybank}) {
            for (const float x : m->data) {
                largest = std::max<long double>(largest, std::fabs(x));
            }
        }
        tables.reserve(all_methods().size());
        for (const Method method : all_methods()) {
            Normalization normalization(method);
            normalization.beta = beta;
            normalization.beta2 = beta / 4;
            const bool none = method == Method::none || method == Method::gc;
            if (!none) {
                tables.push_back(
                    fit_similarities(querybank, &gallerybank, normalization));
            }
            methods.push_back({method, none ? nullptr : &tables.back()});
        }
    }

    std::vector<FullRanking> rank(idx_t k,
                                  std::span<const idx_t> targets = {}) const {
        return rank_all(queries, methods, {k, targets, &querybank});
    }

    testdata::Scene scene;
    MatrixSimilarities queries;
    MatrixSimilarities querybank;
    MatrixSimilarities gallerybank;
    Rows raw;
    Rows probe1;
    Rows probe2;
    std::set<idx_t> active1;
    std::set<idx_t> active2;
    long double largest = 0;  // of the numbers that s - offset is made of
    std::vector<NormTable> tables;
    std::vector<TabledMethod> methods;
};

Row doubles(const SharedArray<float>& floats) {
    return {floats.begin(), floats.end()};
}

Row minus(const Row& raw, const Row& offsets) {
    Row scores = raw;
    for (size_t j = 0; j < raw.size(); j++) scores[j] -= offsets[j];
    return scores;
}

/// What the paper says of a query: the scores, and whether gates are open.
struct Right {
    WideRow scores;
    bool open = false;
    bool both = false;  // dualdis: both gates are open
};

// Offsets are the table's, which other tests check: a ranking is then exact.
Right right_of(const Setting& setting, const TabledMethod& tabled, idx_t q) {
    const Row& raw = setting.raw[q];
    const auto wide = [](const Row& row) {
        return WideRow(row.begin(), row.end());
    };
    if (tabled.method == Method::none) return {wide(raw)};
    if (tabled.method == Method::gc) {
        return {wide(oracle::gc_scores(raw, setting.probe1))};
    }
    const BankColumn& first = tabled.table->columns.front();
    const idx_t top1 = oracle::ranking(raw)[0];
    const bool open1 = setting.active1.contains(top1);
    if (tabled.method == Method::dis && !open1) return {wide(raw)};
    if (tabled.method == Method::dualdis) {
        const bool open2 = setting.active2.contains(top1);
        const BankColumn& second = tabled.table->columns[1];
        return {oracle::dualdis_scores(
                    raw, doubles(first.offsets), first.beta(), open1,
                    doubles(second.offsets), second.beta(), open2),
                open1 || open2, open1 && open2};
    }
    Row offsets = doubles(first.offsets);
    if (tabled.method == Method::dualis) {
        const BankColumn& second = tabled.table->columns[1];
        offsets = oracle::dualis_offsets(
            offsets, first.beta(), doubles(second.offsets), second.beta());
    }
    return {wide(minus(raw, offsets)), true};
}

// How far two scores may be apart and still be level: float32's s - offset, or
// in double where no float comes in between.
long double slack(const Setting& setting, Method method, long double score) {
    if (method == Method::none || method == Method::gc) return 0;
    if (method == Method::dualdis) return 1e-10L * fabsl(score);
    return 3e-7L * setting.largest;
}

void expect_query(const Setting& setting, const TabledMethod& tabled,
                  const FullRanking& ranking, idx_t q, idx_t k) {
    const Right right = right_of(setting, tabled, q);
    ASSERT_EQ(ranking.open[q], right.open) << "query " << q;
    std::vector<idx_t> order(right.scores.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](idx_t a, idx_t b) {
        return right.scores[a] > right.scores[b];
    });
    std::set<idx_t> seen;
    for (idx_t i = 0; i < k; i++) {
        const idx_t label = ranking.labels[q * k + i];
        const float score = ranking.scores[q * k + i];
        if (i >= static_cast<idx_t>(order.size())) {
            ASSERT_EQ(label, -1);
            ASSERT_EQ(score, -infinity);
            continue;
        }
        ASSERT_TRUE(seen.insert(label).second) << "label twice";
        const long double best = right.scores[order[i]];
        const long double level = slack(setting, tabled.method, best);
        if (level == 0) {
            ASSERT_EQ(label, order[i]) << "query " << q;
        }
        ASSERT_LE(fabsl(right.scores[label] - best), level)
            << "query " << q << ", slot " << i << ": item " << label
            << " instead of " << order[i];
        constexpr long double largest = std::numeric_limits<float>::max();
        const long double says =
            right.both ? logl(best) : std::clamp(best, -largest, largest);
        ASSERT_LE(fabsl(score - says), level + 1e-6L * fabsl(says) + 1e-7L)
            << "query " << q << ", slot " << i;
    }
}

class FullRankings : public testing::TestWithParam<testdata::Scene> {};

TEST_P(FullRankings, AreThoseOfThePapers) {
    for (const float beta : {1e-3F, 20.0F, 500.0F, 1e4F}) {
        const Setting setting(GetParam(), beta);
        const idx_t items = setting.queries.items();
        for (const idx_t k : {idx_t{1}, idx_t{10}, items + 2}) {
            const auto rankings = setting.rank(k);
            ASSERT_EQ(rankings.size(), setting.methods.size());
            for (size_t m = 0; m < rankings.size(); m++) {
                const Method method = setting.methods[m].method;
                SCOPED_TRACE(name_of(method) + ", beta " +
                             std::to_string(beta));
                // The products of the oracle overflow.
                if (method == Method::dualdis && beta == 1e4F) continue;
                ASSERT_TRUE(rankings[m].target_ranks.empty());
                for (idx_t q = 0; q < setting.queries.rows(); q++) {
                    expect_query(setting, setting.methods[m], rankings[m], q,
                                 k);
                    if (HasFatalFailure()) return;
                }
            }
        }
    }
}

// A rank is the right item's place in the list, of those level with it in the
// middle: checked on the answers themselves, which the test above checks.
TEST_P(FullRankings, CountTheRanksOfRightItems) {
    const Setting setting(GetParam(), 20);
    const idx_t nq = setting.queries.rows();
    const idx_t items = setting.queries.items();
    const std::vector<idx_t> targets = some_targets(nq, items);
    const auto rankings = setting.rank(items, targets);
    for (size_t m = 0; m < rankings.size(); m++) {
        const Method method = setting.methods[m].method;
        SCOPED_TRACE(name_of(method));
        ASSERT_EQ(static_cast<idx_t>(rankings[m].target_ranks.size()), nq);
        for (idx_t q = 0; q < nq; q++) {
            std::vector<idx_t> right;
            for (idx_t t = 3 * q; t < 3 * q + 3; t++) {
                if (targets[t] >= 0) right.push_back(targets[t]);
            }
            const double rank = rankings[m].target_ranks[q];
            if (right.empty()) {
                ASSERT_EQ(rank, infinity);
                continue;
            }
            Row scores(items);
            for (idx_t i = 0; i < items; i++) {
                scores[rankings[m].labels[q * items + i]] =
                    rankings[m].scores[q * items + i];
            }
            // A float cannot tell gc's scores apart.
            if (method == Method::gc) {
                scores = oracle::gc_scores(setting.raw[q], setting.probe1);
            }
            ASSERT_EQ(rank, oracle::rank_of(scores, right)) << "query " << q;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Scenes, FullRankings,
                         testing::ValuesIn(testdata::scenes()),
                         testdata::test_name);

// Offsets and ranks agree with the oracle whose offsets are its own.
TEST(RankAll, AgreesWithOffsetsOfTheOracle) {
    const testdata::Scene scene = testdata::scenes().front();
    const Setting setting(scene, 20);
    const auto rankings = setting.rank(10);
    const Row is1 = oracle::is_offsets(setting.probe1, 20);
    const Row is2 = oracle::is_offsets(setting.probe2, 5);
    for (size_t m = 0; m < rankings.size(); m++) {
        const Method method = setting.methods[m].method;
        Row offsets;
        if (method == Method::is) offsets = is1;
        if (method == Method::dualis) {
            offsets = oracle::dualis_offsets(is1, 20, is2, 5);
        }
        if (method == Method::csls) {
            offsets = oracle::csls_offsets(setting.probe1, 10);
        }
        if (method == Method::nnn) {
            offsets = oracle::nnn_offsets(setting.probe1, 128, 0.75);
        }
        if (method == Method::cent) {
            offsets = oracle::cent_offsets(setting.probe1);
        }
        if (offsets.empty()) continue;
        SCOPED_TRACE(name_of(method));
        for (idx_t q = 0; q < setting.queries.rows(); q++) {
            oracle::expect_ranking(minus(setting.raw[q], offsets), 10,
                                   &rankings[m].scores[q * 10],
                                   &rankings[m].labels[q * 10], 1e-6);
        }
    }
}

TEST(RankAll, DoesNotDependOnThreads) {
    const Setting setting(testdata::scenes().front(), 20);
    const auto targets =
        some_targets(setting.queries.rows(), setting.queries.items());
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    const auto one = setting.rank(20, targets);
    omp_set_num_threads(3);
    const auto three = setting.rank(20, targets);
    omp_set_num_threads(threads);
    for (size_t m = 0; m < one.size(); m++) {
        EXPECT_EQ(one[m].labels, three[m].labels);
        EXPECT_EQ(one[m].scores, three[m].scores);
        EXPECT_EQ(one[m].target_ranks, three[m].target_ranks);
        EXPECT_EQ(one[m].open, three[m].open);
    }
}

}  // namespace
