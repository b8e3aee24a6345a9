// Oracle: every point of a sweep once more by naive loops in double, and the
// figures of the real data's README.

#include <gtest/gtest.h>

#include <set>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/io/vector_file.h"
#include "faiss_qbnorm/similarities/vector_similarities.h"
#include "faiss_qbnorm/tune/sweep.h"
#include "tests/methods_oracle.h"
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

    /// The rank of the best right item of each query, from 0.
    std::vector<double> ranks(const Normalization& n) const {
        const Rows bank = tune_oracle::rows_of(querybank);
        const Rows second = tune_oracle::rows_of(gallerybank);
        Row offsets(items, 0);
        switch (n.method) {
            case Method::none:
                break;
            case Method::csls:
                offsets = oracle::csls_offsets(bank, n.neighbours);
                break;
            case Method::nnn:
                offsets = oracle::nnn_offsets(bank, n.neighbours, n.alpha);
                break;
            case Method::dbsn:
                offsets = oracle::dbsn_offsets(
                    oracle::sinkhorn(bank, n.beta, n.iterations), items,
                    n.beta);
                break;
            case Method::dualis:
                offsets = oracle::dualis_offsets(
                    oracle::is_offsets(bank, n.beta), n.beta,
                    oracle::is_offsets(second, n.beta2), n.beta2);
                break;
            default:
                offsets = oracle::is_offsets(bank, n.beta);
        }
        const Row offsets2 = oracle::is_offsets(second, n.beta2);
        const auto active = oracle::activation_set(bank, n.activation_k);
        const auto active2 = oracle::activation_set(second, n.activation_k);
        std::vector<double> result;
        const Rows raw = tune_oracle::rows_of(queries);
        for (idx_t q = 0; q < nq; q++) {
            const idx_t first = oracle::ranking(raw[q])[0];
            const bool open = n.method != Method::dis || active.contains(first);
            oracle::WideRow scores(raw[q].begin(), raw[q].end());
            for (idx_t j = 0; open && j < items; j++) scores[j] -= offsets[j];
            if (n.method == Method::dualdis) {
                scores = oracle::dualdis_scores(
                    raw[q], offsets, n.beta, active.contains(first), offsets2,
                    n.beta2, active2.contains(first));
            }
            std::vector<idx_t> right{truth[2 * q]};
            if (truth[2 * q + 1] >= 0) right.push_back(truth[2 * q + 1]);
            result.push_back(oracle::rank_of(scores, right));
        }
        return result;
    }

    void expect_curve(const SweepResult& result) const {
        for (const SweepPoint& point : result.curve) {
            const Normalization& n = point.normalization;
            SCOPED_TRACE(name_of(n.method) + " " + std::to_string(n.beta) +
                         " " + std::to_string(n.neighbours) + " " +
                         std::to_string(n.activation_k));
            const std::vector<double> right = ranks(n);
            const auto recall = [&](double k) {
                const auto found =
                    std::count_if(right.begin(), right.end(),
                                  [&](double rank) { return rank < k; });
                return 100 * static_cast<double>(found) / nq;
            };
            EXPECT_NEAR(point.retrieval.recall_1, recall(1), 1e-9);
            EXPECT_NEAR(point.retrieval.recall_5, recall(5), 1e-9);
            EXPECT_NEAR(point.retrieval.recall_10, recall(10), 1e-9);
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

TEST(Sweep, OfDualdisIsOverBetaThenOverActivationK) {
    const Scene scene;
    Normalization start(Method::dualdis);
    start.beta2 = 5;
    const SweepResult result = scene.sweep(start);
    ASSERT_EQ(result.curve.size(), 16U + 6U);
    scene.expect_curve(result);
}

TEST(Sweep, OfDbsnFitsEveryBeta) {
    const Scene scene;
    const SweepResult result = scene.sweep(Method::dbsn);
    ASSERT_EQ(result.curve.size(), 16U);
    scene.expect_curve(result);
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
    EXPECT_THROW_SAYING(scene.sweep(Method::gc), Error, "gc has no parameters");
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
