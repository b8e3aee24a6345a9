// Oracle: every point of a sweep once more by naive loops in double, and the
// figures of the real data's README.

#include <gtest/gtest.h>

#include <set>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/io/vector_file.h"
#include "faiss_qbnorm/similarities/vector_similarities.h"
#include "faiss_qbnorm/tune/sweep.h"
#include "tests/temporary_folder.h"
#include "tests/tune/reference.h"

namespace {

using namespace faiss_qbnorm;
using tune_oracle::Row;
using tune_oracle::Rows;

/// Queries near their own items, two right ones each.
struct Scene {
    static constexpr idx_t items = 120;
    static constexpr idx_t nq = 60;
    Matrix querybank;
    Matrix gallerybank;
    Matrix queries;
    std::vector<idx_t> truth;

    Scene() {
        const Matrix gallery = testdata::unit(items, 12, 1);
        Matrix asked = testdata::gaussian(nq, 12, 4);
        for (idx_t q = 0; q < nq; q++) {
            for (int t = 0; t < 12; t++) {
                float& x = asked.data[q * 12 + t];
                x = 0.35F * x + gallery.view().row(q)[t] +
                    (t == 0 ? 0.5F : 0.0F);
            }
            truth.push_back(q);
            truth.push_back(q % 3 == 0 ? q + 60 : -1);
        }
        queries = tune_oracle::similarities(asked, gallery);
        querybank =
            tune_oracle::similarities(testdata::unit(80, 12, 2), gallery);
        gallerybank =
            tune_oracle::similarities(testdata::unit(70, 12, 3), gallery);
    }

    template <class Sweep>
    SweepResult with(Sweep work) const {
        const MatrixSimilarities bank(querybank.view(), "querybank");
        const MatrixSimilarities second(gallerybank.view(), "gallerybank");
        const MatrixSimilarities asked(queries.view(), "queries");
        return work(SweepData{bank, &second, asked, {truth, 2}});
    }
    SweepResult sweep(const Normalization& start) const {
        return with([&](const SweepData& data) {
            return faiss_qbnorm::sweep(data, start);
        });
    }

    Row offsets(const Normalization& n) const {
        const Rows bank = tune_oracle::rows_of(querybank);
        const Rows second = tune_oracle::rows_of(gallerybank);
        Row result(items, 0);
        if (n.method == Method::is || n.method == Method::dis ||
            n.method == Method::dualis) {
            result = oracle::is_offsets(bank, n.beta);
        }
        if (n.method == Method::dualis) {
            const Row other = oracle::is_offsets(second, n.beta2);
            for (idx_t j = 0; j < items; j++) {
                result[j] = (n.beta * result[j] + n.beta2 * other[j]) /
                            (n.beta + n.beta2);
            }
        }
        if (n.method == Method::csls || n.method == Method::nnn) {
            for (idx_t j = 0; j < items; j++) {
                Row column;
                for (const Row& row : bank) column.push_back(row[j]);
                std::sort(column.rbegin(), column.rend());
                for (idx_t i = 0; i < n.neighbours; i++) {
                    result[j] += column[i] / static_cast<double>(n.neighbours);
                }
                result[j] *= n.method == Method::nnn ? n.alpha : 0.5;
            }
        }
        return result;
    }

    /// Percent of the queries with a right item among their first k.
    double recall(const Normalization& n, size_t k) const {
        const Row shift = offsets(n);
        const auto active = oracle::activation_set(
            tune_oracle::rows_of(querybank), n.activation_k);
        double found = 0;
        const Rows raw = tune_oracle::rows_of(queries);
        for (idx_t q = 0; q < nq; q++) {
            Row scores = raw[q];
            const bool open = n.method != Method::dis ||
                              active.contains(oracle::ranking(raw[q])[0]);
            for (idx_t j = 0; open && j < items; j++) scores[j] -= shift[j];
            const auto order = oracle::ranking(scores);
            bool right = false;
            for (size_t i = 0; i < k; i++) {
                right = right || order[i] == truth[2 * q] ||
                        order[i] == truth[2 * q + 1];
            }
            found += right;
        }
        return 100 * found / nq;
    }

    void expect_curve(const SweepResult& result) const {
        for (const SweepPoint& point : result.curve) {
            const Normalization& n = point.normalization;
            SCOPED_TRACE(name_of(n.method) + " " + std::to_string(n.beta) +
                         " " + std::to_string(n.neighbours) + " " +
                         std::to_string(n.activation_k));
            EXPECT_NEAR(point.retrieval.recall_1, recall(n, 1), 1e-9);
            EXPECT_NEAR(point.retrieval.recall_5, recall(n, 5), 1e-9);
            EXPECT_NEAR(point.retrieval.recall_10, recall(n, 10), 1e-9);
            EXPECT_LE(point.retrieval.recall_1, result.best.retrieval.recall_1);
        }
    }
};

TEST(Sweep, OfIsIsTheOracleAtEveryBeta) {
    const Scene scene;
    const SweepResult result = scene.sweep(Method::is);
    ASSERT_EQ(result.curve.size(), 16U);
    const double sigma =
        tune_oracle::mean_deviation(tune_oracle::rows_of(scene.querybank));
    EXPECT_NEAR(result.curve.front().normalization.beta, 0.2 / sigma,
                1e-4 / sigma);
    EXPECT_NEAR(result.curve.back().normalization.beta, 8 / sigma,
                1e-3 / sigma);
    scene.expect_curve(result);
}

TEST(Sweep, OfDisIsOverBetaThenOverActivationK) {
    const Scene scene;
    Normalization start(Method::dis);
    start.activation_k = 4;
    const SweepResult result = scene.sweep(start);
    scene.expect_curve(result);
    ASSERT_EQ(result.curve.size(), 16U + 7U);
    std::set<idx_t> ks;
    for (size_t i = 0; i < result.curve.size(); i++) {
        const Normalization& n = result.curve[i].normalization;
        if (i < 16) {
            EXPECT_EQ(n.activation_k, 4);
        } else {
            ks.insert(n.activation_k);
            EXPECT_EQ(n.beta, result.curve[16].normalization.beta);
        }
    }
    EXPECT_EQ(ks, (std::set<idx_t>{1, 2, 3, 5, 10, 20, 50}));
}

TEST(Sweep, OfNeighboursStopsAtTheBank) {
    const Scene scene;
    const SweepResult csls = scene.sweep(Method::csls);
    scene.expect_curve(csls);
    EXPECT_EQ(csls.curve.size(), 6U);
    EXPECT_EQ(csls.curve.back().normalization.neighbours, 50);
    const SweepResult nnn = scene.sweep(Method::nnn);
    scene.expect_curve(nnn);
    EXPECT_EQ(nnn.curve.size(), 36U);
}

TEST(Sweep, OfDualisKeepsBeta2) {
    const Scene scene;
    Normalization start(Method::dualis);
    start.beta2 = 7;
    const SweepResult result = scene.sweep(start);
    ASSERT_EQ(result.curve.size(), 16U);
    scene.expect_curve(result);
    for (const SweepPoint& point : result.curve) {
        EXPECT_EQ(point.normalization.beta2, 7);
    }
}

TEST(Sweep, OfAllMethodsTakesTheBest) {
    const Scene scene;
    const SweepResult result = scene.with(sweep_methods);
    scene.expect_curve(result);
    std::set<Method> methods;
    for (const SweepPoint& point : result.curve) {
        methods.insert(point.normalization.method);
    }
    EXPECT_EQ(methods,
              (std::set<Method>{Method::none, Method::csls, Method::nnn,
                                Method::is, Method::dis}));
}

// One item is right for every query and first for every ranking: all points
// find everything.
TEST(Sweep, TiesGoToTheValueNearestTheDefault) {
    Scene scene;
    for (float& s : scene.queries.data) s = 0;
    for (idx_t q = 0; q < Scene::nq; q++) {
        scene.queries.data[q * Scene::items + q] = 1000;
    }
    EXPECT_EQ(scene.sweep(Method::csls).best.normalization.neighbours, 10);
    const SweepResult nnn = scene.sweep(Method::nnn);
    EXPECT_EQ(nnn.best.retrieval.recall_1, 100);
    EXPECT_EQ(nnn.best.normalization.alpha, 0.75F);
    EXPECT_EQ(nnn.best.normalization.neighbours, 50);  // of 1 to 50, to 128
    const SweepResult dis = scene.sweep(Method::dis);
    EXPECT_EQ(dis.best.normalization.activation_k, 1);
    for (const SweepPoint& point : dis.curve) {
        EXPECT_LE(std::fabs(std::log(dis.best.normalization.beta / 20)),
                  std::fabs(std::log(point.normalization.beta / 20)));
    }
    EXPECT_EQ(scene.with(sweep_methods).best.normalization.method,
              Method::none);
}

TEST(Sweep, OnRealDataReachesTheReferenceFigures) {
    const auto read = [](const std::string& name) {
        return VectorFile(testdata::real("manpages-de-en-small/" + name), true)
            .read();
    };
    const Matrix items = read("gallery.npy");
    const Matrix past = read("querybank.npy");
    const Matrix live = read("queries.npy");
    const MemoryGallery gallery(items.view());
    const VectorSimilarities bank(Metric::inner_product, gallery, past.view(),
                                  "bank");
    const VectorSimilarities queries(Metric::inner_product, gallery,
                                     live.view(), "queries");
    std::vector<idx_t> truth(live.rows);
    std::iota(truth.begin(), truth.end(), 0);
    const SweepResult result =
        sweep_methods({bank, nullptr, queries, {truth, 1}});
    double is = 0;
    for (const SweepPoint& point : result.curve) {
        const Normalization& n = point.normalization;
        if (n.method == Method::none) {
            EXPECT_NEAR(point.retrieval.recall_1, 38.8, 0.051);
        }
        if (n.method == Method::csls && n.neighbours == 10) {
            EXPECT_NEAR(point.retrieval.recall_1, 49.6, 0.051);
            EXPECT_NEAR(point.retrieval.recall_10, 79.2, 0.051);
        }
        if (n.method == Method::is) is = std::max(is, point.retrieval.recall_1);
    }
    EXPECT_GE(is, 52.85);  // what beta 30 gives
    EXPECT_GE(result.best.retrieval.recall_1, is);
}

TEST(Sweep, RefusesWhatItCannotDo) {
    Scene scene;
    EXPECT_THROW_SAYING(scene.sweep(Method::gc), Error, "gc is not swept");
    Normalization wrong(Method::is);
    wrong.beta = -1;
    EXPECT_THROW_SAYING(scene.sweep(wrong), Error, "beta is -1");
    scene.truth[8] = 120;
    EXPECT_THROW_SAYING(scene.sweep(Method::is), Error,
                        "query 4 names item 120");
    scene.truth[8] = -1;
    EXPECT_THROW_SAYING(scene.sweep(Method::is), Error,
                        "query 4 names item -1");
    scene.truth.pop_back();
    EXPECT_THROW_SAYING(scene.sweep(Method::is), Error, "119 entries for 60");
}

}  // namespace
