// Oracle: oracle.h on the candidates alone.

#include <gtest/gtest.h>

#include <random>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/cpu/engine_cpu.h"
#include "faiss_qbnorm/fit.h"
#include "tests/data.h"
#include "tests/oracle.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

constexpr idx_t items = 200;
constexpr idx_t nq = 40;

class Rerank : public testing::Test {
  protected:
    Rerank() {
        FitOptions options;
        options.normalization = {Method::dis, 20, 1};
        table =
            fit(*engine, MemoryGallery(gallery.view()), bank.view(), options);
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
    const std::unique_ptr<Engine> engine = make_engine_cpu();
    NormTable table;
    std::unique_ptr<BoundTable> bound;
    std::vector<float> scores;
    std::vector<idx_t> labels;
    std::vector<float> got_scores;
    std::vector<idx_t> got_labels;
};

TEST_F(Rerank, RanksTheCandidatesAsThePaperDoes) {
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

TEST_F(Rerank, GivesNothingForEmptyLists) {
    labels.assign(nq * 3, -1);
    scores.assign(nq * 3, NAN);  // not looked at
    run(Method::dis, 3, 2);
    for (const idx_t label : got_labels) EXPECT_EQ(label, -1);
    run(Method::dis, 0, 2);
    for (const idx_t label : got_labels) EXPECT_EQ(label, -1);
}

TEST_F(Rerank, RefusesLabelsOutsideTheTableAndScoresThatAreNone) {
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
