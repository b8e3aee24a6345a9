// Oracle: oracle.h on the candidates alone.

#include <gtest/gtest.h>

#include <random>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/fit.h"
#include "tests/data.h"
#include "tests/engine/engines.h"
#include "tests/oracle.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

constexpr idx_t items = 200;
constexpr idx_t nq = 40;

class Rerank : public engines::OnEveryEngine {
  protected:
    void SetUp() override {
        OnEveryEngine::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        engine = make(engines::Cut::small);
        FitOptions options;
        options.normalization = {Method::dis, 20, 1};
        table = fit(*make_engine_cpu(), MemoryGallery(gallery.view()),
                    bank.view(), options);
        bound = engine->bind_table(table);
    }

    /// `k` candidates a query, distinct, shuffled, with holes (-1).
    void make_candidates(idx_t k) {
        std::mt19937 random(4);
        for (idx_t i = 0; i < nq; i++) {
            std::vector<idx_t> order(items);
            std::iota(order.begin(), order.end(), 0);
            std::shuffle(order.begin(), order.end(), random);
            for (idx_t j = 0; j < k; j++) {
                const bool hole = random() % 5 == 0;
                labels.push_back(hole ? -1 : order[j]);
                scores.push_back(
                    hole ? -3e38F
                         : static_cast<float>(reference.raw[i][order[j]]));
            }
        }
    }

    void run(Method method, idx_t candidates, idx_t k) {
        got_scores.assign(nq * k, 0);
        got_labels.assign(nq * k, 0);
        engine->rerank(*bound, method,
                       {nq, candidates, scores.data(), labels.data()}, k,
                       {got_scores.data(), got_labels.data()});
    }

    const Matrix gallery = testdata::unit(items, 16, 1);
    const Matrix queries = testdata::unit(nq, 16, 2);
    const Matrix bank = testdata::unit(60, 16, 3);
    const oracle::Reference reference{Metric::inner_product,
                                      gallery.view(),
                                      queries.view(),
                                      bank.view(),
                                      20,
                                      1};
    std::unique_ptr<Engine> engine;
    NormTable table;
    std::unique_ptr<BoundTable> bound;
    std::vector<float> scores;
    std::vector<idx_t> labels;
    std::vector<float> got_scores;
    std::vector<idx_t> got_labels;
};

QBNORM_ON_EVERY_ENGINE(Rerank);

TEST_P(Rerank, RanksTheCandidatesAsThePaperDoes) {
    const idx_t candidates = 30;
    make_candidates(candidates);
    int open = 0;
    for (const Method method : {Method::none, Method::is, Method::dis}) {
        for (const idx_t k : {1, 10, 30, 50}) {
            run(method, candidates, k);
            for (idx_t i = 0; i < nq; i++) {
                std::vector<idx_t> held;  // ascending, so ties go by label
                for (idx_t j = 0; j < candidates; j++) {
                    const idx_t label = labels[i * candidates + j];
                    if (label >= 0) held.push_back(label);
                }
                std::sort(held.begin(), held.end());
                oracle::Row raw;
                for (const idx_t label : held) {
                    raw.push_back(reference.raw[i][label]);
                }
                const idx_t top1 = held[oracle::ranking(raw)[0]];
                const bool normalised = method == Method::is ||
                                        (method == Method::dis &&
                                         reference.activation.contains(top1));
                open += normalised;
                oracle::Row expected = raw;
                for (size_t j = 0; normalised && j < held.size(); j++) {
                    expected[j] -= reference.offsets[held[j]];
                }
                const auto order = oracle::ranking(expected);
                for (idx_t j = 0; j < k; j++) {
                    const idx_t got = got_labels[i * k + j];
                    if (j >= static_cast<idx_t>(held.size())) {
                        ASSERT_EQ(got, -1);
                        continue;
                    }
                    ASSERT_EQ(got, held[order[j]]) << "query " << i;
                    ASSERT_NEAR(got_scores[i * k + j], expected[order[j]],
                                1e-6);
                }
            }
        }
    }
    EXPECT_GT(open, 0);
}

/// A table whose offsets and scores have few values, so that ties abound.
NormTable coarse_table(idx_t size) {
    std::mt19937 random(7);
    std::vector<float> offsets(size);
    std::vector<idx_t> active;
    for (idx_t i = 0; i < size; i++) {
        offsets[i] = static_cast<float>(random() % 5) / 4;
        if (random() % 2) active.push_back(100 + i);
    }
    for (idx_t& item : active) item -= 100;
    BankColumn column;
    column.normalization = {Method::dis, 20, 1};
    column.offsets = offsets;
    column.activation = ActivationSet(size, active);
    return {1, Metric::inner_product, 100 + size, 100, 100 + size, 0, {column}};
}

TEST_P(Rerank, SelectsFromListsOfAnyLengthAndManyTies) {
    const NormTable coarse = coarse_table(9000);
    const auto coarse_bound = engine->bind_table(coarse);
    const BankColumn& column = coarse.columns[0];
    std::mt19937 random(8);
    for (const idx_t candidates :
         {1, 2, 31, 32, 127, 128, 129, 1000, 1024, 1025, 4096, 4097, 9000}) {
        for (const idx_t k : {1, 3, 64, 2048}) {
            if (k > 2 * candidates) continue;
            // Short lists are looked at far ahead.
            const idx_t lists = candidates <= 32 ? 50 : 3;
            scores.clear();
            labels.clear();
            std::vector<idx_t> order(9000);
            for (idx_t i = 0; i < lists; i++) {
                std::iota(order.begin(), order.end(), 100);
                std::shuffle(order.begin(), order.end(), random);
                for (idx_t j = 0; j < candidates; j++) {
                    labels.push_back(random() % 9 == 0 ? -1 : order[j]);
                    scores.push_back(static_cast<float>(random() % 9) / 8);
                }
            }
            got_scores.assign(lists * k, 0);
            got_labels.assign(lists * k, 0);
            engine->rerank(*coarse_bound, Method::dis,
                           {lists, candidates, scores.data(), labels.data()}, k,
                           {got_scores.data(), got_labels.data()});
            for (idx_t i = 0; i < lists; i++) {
                SCOPED_TRACE(testing::Message() << candidates << " candidates, "
                                                << k << " answers, list " << i);
                using Item = std::pair<float, idx_t>;  // -score, label
                std::vector<Item> right;
                for (idx_t j = i * candidates; j < (i + 1) * candidates; j++) {
                    if (labels[j] >= 0) {
                        right.emplace_back(-scores[j], labels[j]);
                    }
                }
                std::sort(right.begin(), right.end());
                if (!right.empty() &&
                    column.activation.contains(right[0].second - 100)) {
                    for (Item& item : right) {
                        item.first += column.offsets[item.second - 100];
                    }
                    std::sort(right.begin(), right.end());
                }
                for (idx_t j = 0; j < k; j++) {
                    const bool held = j < static_cast<idx_t>(right.size());
                    ASSERT_EQ(got_labels[i * k + j],
                              held ? right[j].second : -1);
                    ASSERT_EQ(got_scores[i * k + j],
                              held ? -right[j].first : -INFINITY);
                }
            }
        }
    }
}

TEST_P(Rerank, TakesAnItemListedTwice) {
    labels = {5, 5, 5, 7};
    scores = {0.5F, 0.5F, 0.5F, 0.25F};
    got_scores.assign(2, 0);
    got_labels.assign(2, 0);
    engine->rerank(*bound, Method::none, {1, 4, scores.data(), labels.data()},
                   2, {got_scores.data(), got_labels.data()});
    EXPECT_EQ(got_labels, (std::vector<idx_t>{5, 5}));
    EXPECT_EQ(got_scores, (std::vector<float>{0.5F, 0.5F}));
}

TEST_P(Rerank, GivesNothingForEmptyLists) {
    labels.assign(nq * 3, -1);
    scores.assign(nq * 3, NAN);  // not looked at
    run(Method::dis, 3, 2);
    for (const idx_t label : got_labels) EXPECT_EQ(label, -1);
    run(Method::dis, 0, 2);
    for (const idx_t label : got_labels) EXPECT_EQ(label, -1);
}

TEST_P(Rerank, RefusesLabelsOutsideTheTableAndScoresThatAreNone) {
    labels.assign(nq * 3, 0);
    scores.assign(nq * 3, 0.5F);
    for (const idx_t bad : {idx_t{-2}, items, idx_t{1} << 60}) {
        labels[7 * 3 + 1] = bad;
        EXPECT_THROW_SAYING(run(Method::dis, 3, 2), Error,
                            "row 7 holds label " + std::to_string(bad));
    }
    labels[7 * 3 + 1] = 0;
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
        scores[9 * 3] = bad;
        EXPECT_THROW_SAYING(run(Method::dis, 3, 2), Error,
                            "row 9 holds a score of NaN or Inf");
    }
}

}  // namespace
