// FAISS's habits under the calls that IndexQBNorm adds or changes. Oracle: what
// FAISS documents and its flat index does (faiss/Index.h).

#include <faiss/IndexFlat.h>
#include <faiss/IndexIVF.h>
#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/IDSelector.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <thread>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "tests/data.h"
#include "tests/faiss/bases.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

constexpr idx_t items = 300;
constexpr int d = 16;

using Case = std::tuple<std::string, Metric>;

class Habits : public testing::TestWithParam<Case> {
  protected:
    void SetUp() override {
        if (auto* ivf = dynamic_cast<faiss::IndexIVF*>(base.get())) {
            ivf->nprobe = 4;
        }
        index.set_querybank(bank.rows, bank.data.data(), gallery.data.data());
        params.method = Method::is;
    }

    // Every item twice: equal scores everywhere.
    static Matrix twice(const Matrix& once) {
        Matrix all = once;
        all.data.insert(all.data.end(), once.data.begin(), once.data.end());
        all.rows *= 2;
        return all;
    }

    const std::string factory = std::get<0>(GetParam());
    const Metric metric = std::get<1>(GetParam());
    const Matrix gallery = twice(testdata::unit(items / 2, d, 1));
    const Matrix queries = testdata::unit(20, d, 2);
    const Matrix bank = testdata::unit(60, d, 3);
    const std::unique_ptr<faiss::Index> base =
        bases::make(factory, metric, gallery);
    IndexQBNorm index{base.get()};
    SearchParametersQBNorm params;
};

INSTANTIATE_TEST_SUITE_P(
    Bases, Habits,
    testing::Combine(testing::Values("Flat", "IVF4,Flat", "SQ8", "RR16,Flat"),
                     testing::Values(Metric::inner_product, Metric::l2)));

TEST_P(Habits, EmptySlotsAreMinusOneAndWorst) {
    constexpr idx_t k = 40;
    constexpr float largest = std::numeric_limits<float>::max();
    faiss::IDSelectorRange few(10, 25);
    params.sel = &few;
    std::vector<float> distances(20 * k);
    std::vector<idx_t> labels(20 * k);
    index.search(20, queries.data.data(), k, distances.data(), labels.data(),
                 &params);
    for (idx_t i = 0; i < 20 * k; i++) {
        EXPECT_EQ(labels[i] == -1, i % k >= 15);
        if (labels[i] >= 0) continue;
        EXPECT_EQ(distances[i], metric == Metric::l2 ? largest : -largest);
    }
}

TEST_P(Habits, BetterDistancesFirstAndTiesToTheLowerLabel) {
    for (const Method method : {Method::is, Method::dis}) {
        params.method = method;
        std::vector<float> distances(20 * items);
        std::vector<idx_t> labels(20 * items);
        index.search(20, queries.data.data(), items, distances.data(),
                     labels.data(), &params);
        idx_t ties = 0;
        for (idx_t i = 0; i < 20 * items; i++) {
            if (i % items == 0) continue;
            const float step = distances[i] - distances[i - 1];
            EXPECT_GE(metric == Metric::l2 ? step : -step, 0);
            if (step != 0) continue;
            EXPECT_GT(labels[i], labels[i - 1]);
            ties++;
        }
        EXPECT_GT(ties, items);
    }
}

TEST_P(Habits, NoQueriesAreNoWork) {
    QBNormSearchStats stats{7, 7, 7, 7};
    params.stats = &stats;
    index.search(0, nullptr, 5, nullptr, nullptr, &params);
    EXPECT_EQ(stats.queries, 0);
    EXPECT_EQ(stats.candidates, 0);
    faiss::RangeSearchResult result(0);
    index.range_search(0, nullptr, 0.5F, &result, &params);
    EXPECT_EQ(result.lims[0], 0U);
}

TEST_P(Habits, BadCallsWriteNothing) {
    std::vector<float> distances(20, 77);
    std::vector<idx_t> labels(20, 77);
    QBNormSearchStats stats{7, 7, 7, 7};
    params.stats = &stats;
    std::vector<float> broken = queries.data;
    broken.back() = std::numeric_limits<float>::quiet_NaN();
    EXPECT_THROW_SAYING(index.search(20, broken.data(), 1, distances.data(),
                                     labels.data(), &params),
                        faiss::FaissException, "queries: row 19");
    EXPECT_THROW_SAYING(index.search(20, queries.data.data(), 0,
                                     distances.data(), labels.data(), &params),
                        faiss::FaissException, "k is 0");
    faiss::RangeSearchResult result(20);
    EXPECT_THROW_SAYING(
        index.range_search(20, broken.data(), 0.5F, &result, &params),
        faiss::FaissException, "queries: row 19");
    EXPECT_EQ(distances, std::vector<float>(20, 77));
    EXPECT_EQ(labels, std::vector<idx_t>(20, 77));
    EXPECT_EQ(result.labels, nullptr);
    EXPECT_EQ(stats.queries, 7);
}

// One query's range result. Distances of one item from two calls may differ in
// their last bits: BLAS cuts a product by the threads that it gets.
struct Found : std::map<idx_t, float> {
    bool operator==(const Found& other) const {
        return std::equal(begin(), end(), other.begin(), other.end(),
                          [](const auto& a, const auto& b) {
                              return a.first == b.first &&
                                     std::abs(a.second - b.second) < 1e-5;
                          });
    }
};

std::vector<Found> range_of(const IndexQBNorm& index, const Matrix& queries,
                            float radius) {
    faiss::RangeSearchResult result(queries.rows);
    index.range_search(queries.rows, queries.data.data(), radius, &result);
    std::vector<Found> found(queries.rows);
    for (idx_t i = 0; i < queries.rows; i++) {
        for (size_t j = result.lims[i]; j < result.lims[i + 1]; j++) {
            found[i].emplace(result.labels[j], result.distances[j]);
        }
    }
    return found;
}

TEST_P(Habits, ConcurrentRangeSearchesAreEachTheirOwn) {
    if (factory == "SQ8") return;  // it has no range_search
    const float radius = metric == Metric::l2 ? 1.6F : -0.2F;
    const auto expected = range_of(index, queries, radius);
    EXPECT_TRUE(std::any_of(expected.begin(), expected.end(),
                            [](const Found& f) { return !f.empty(); }));
    std::vector<std::thread> threads;
    std::vector<int> equal(4, 0);
    for (int t = 0; t < 4; t++) {
        threads.emplace_back([&, t] {
            for (int round = 0; round < 3; round++) {
                equal[t] += range_of(index, queries, radius) == expected;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(equal, std::vector<int>(4, 3));
}

}  // namespace
