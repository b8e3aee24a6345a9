// Oracle: methods_oracle.h and method_offsets.h, each paper in double
// precision.

#include <gtest/gtest.h>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/search.h"
#include "tests/engine/engines.h"
#include "tests/engine/method_scenes.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;
using engines::Cut;
using scenes::Scene;

constexpr Metric metrics[] = {Metric::inner_product, Metric::l2};
constexpr idx_t nq = 50;

class SearchMethods : public engines::OnEveryEngine {
  protected:
    const Matrix queries = testdata::unit(nq, 16, 31);
    std::vector<float> scores;
    std::vector<idx_t> labels;

    static Scene scene_of(Metric metric) {
        return scenes::scene(metric, 260, 120, 60, 16);
    }

    static NormTable table_of(const Scene& scene,
                              const Normalization& normalization) {
        return scene.fit_with(*make_engine_cpu(), normalization);
    }

    void search(const Engine& engine, const Scene& scene,
                const NormTable& table, Method method, idx_t k) {
        scores.assign(nq * k, 0);
        labels.assign(nq * k, 0);
        exact_search(engine, MemoryGallery(scene.gallery.view()), scene.metric,
                     &table, method, queries.view(), k,
                     {scores.data(), labels.data()});
    }

    // Offsets that a probe makes from products err by 2e-6, exact scores less.
    void expect_right(const oracle::Rows& raw, const oracle::Row& offsets,
                      idx_t k) const {
        for (idx_t i = 0; i < nq; i++) {
            SCOPED_TRACE(testing::Message() << "query " << i);
            oracle::expect_ranking(oracle::minus(raw[i], offsets), k,
                                   &scores[i * k], &labels[i * k], 1e-5);
        }
    }
};
QBNORM_ON_EVERY_ENGINE(SearchMethods);

TEST_P(SearchMethods, RankAsThePapersDo) {
    const auto engine = make(Cut::small);
    for (const Metric metric : metrics) {
        const Scene scene = scene_of(metric);
        const auto raw =
            oracle::similarities(metric, queries.view(), scene.gallery.view());
        for (const Normalization& normalization : scenes::all()) {
            if (!scenes::has_metric(normalization, metric)) continue;
            SCOPED_TRACE(to_string(normalization) + ", " + name_of(metric));
            const NormTable table = table_of(scene, normalization);
            for (const idx_t k : {1, 10, 300}) {
                search(*engine, scene, table, normalization.method, k);
                expect_right(raw, scene.offsets(normalization), k);
            }
        }
    }
}

// Items level with one another come in the order of their labels.
TEST_P(SearchMethods, RankTiesByLabel) {
    const auto engine = make(Cut::small);
    Scene scene = scene_of(Metric::inner_product);
    scene.gallery = {std::vector<float>(100 * 16, 0.25F), 100, 16};
    for (const Normalization& normalization : scenes::all()) {
        SCOPED_TRACE(to_string(normalization));
        search(*engine, scene, table_of(scene, normalization),
               normalization.method, 7);
        for (idx_t i = 0; i < nq * 7; i++) EXPECT_EQ(labels[i], i % 7);
    }
}

TEST_P(SearchMethods, RerankAsThePapersDo) {
    const auto engine = make(Cut::small);
    for (const Metric metric : metrics) {
        const Scene scene = scene_of(metric);
        const auto raw =
            oracle::similarities(metric, queries.view(), scene.gallery.view());
        for (const Normalization& normalization : scenes::all()) {
            if (!scenes::has_metric(normalization, metric)) continue;
            SCOPED_TRACE(to_string(normalization) + ", " + name_of(metric));
            // Every third item is a candidate.
            constexpr idx_t candidates = 87;
            std::vector<float> given;
            std::vector<idx_t> of;
            oracle::Rows reached(nq);
            oracle::Row offsets;
            const oracle::Row all = scene.offsets(normalization);
            for (idx_t label = 0; label < 260; label += 3) {
                offsets.push_back(all[label]);
            }
            for (idx_t i = 0; i < nq; i++) {
                for (idx_t label = 0; label < 260; label += 3) {
                    reached[i].push_back(raw[i][label]);
                    given.push_back(static_cast<float>(raw[i][label]));
                    of.push_back(label);
                }
            }
            const NormTable table = table_of(scene, normalization);
            const BankColumn column =
                ranking_column(table, normalization.method);
            const auto bound = engine->bind_table(table, column);
            constexpr idx_t k = 12;
            scores.assign(nq * k, 0);
            labels.assign(nq * k, 0);
            engine->rerank(*bound, normalization.method,
                           {nq, candidates, given.data(), of.data()}, k,
                           {scores.data(), labels.data()});
            for (idx_t& label : labels) {
                ASSERT_EQ(label % 3, 0);
                label /= 3;
            }
            expect_right(reached, offsets, k);
        }
    }
}

// dualis's table answers is, dis and none as their own tables do.
TEST_P(SearchMethods, TablesServeTheMethodsThatShareTheirColumns) {
    const auto engine = make();
    const Scene scene = scene_of(Metric::inner_product);
    Scene alone = scene;
    alone.gallerybank = {};
    const NormTable both = table_of(scene, Method::dualis);
    for (const Method method : {Method::is, Method::dis, Method::none}) {
        const NormTable one = table_of(alone, Method::dis);
        search(*engine, scene, one, method, 10);
        const auto expected = std::pair(scores, labels);
        search(*engine, scene, both, method, 10);
        EXPECT_EQ(std::pair(scores, labels), expected) << name_of(method);
    }
}

TEST_P(SearchMethods, RefuseWhatATableDoesNotServe) {
    const auto engine = make();
    const Scene scene = scene_of(Metric::inner_product);
    const auto refuse = [&](const Normalization& fitted, Method asked,
                            const std::string& text) {
        SCOPED_TRACE(name_of(fitted.method) + " asked for " + name_of(asked));
        const NormTable table = table_of(scene, fitted);
        EXPECT_THROW_SAYING(search(*engine, scene, table, asked, 1), Error,
                            text);
    };
    const Method of_one_column[] = {Method::csls, Method::nnn, Method::cent,
                                    Method::dbsn, Method::is};
    for (const Method fitted : of_one_column) {
        for (const Method asked : of_one_column) {
            if (asked == fitted) continue;
            refuse(fitted, asked,
                   "the table was fitted for method " + name_of(fitted) +
                       ", which does not serve " + name_of(asked) +
                       "; fit it again");
        }
        refuse(fitted, Method::dualis, "does not serve dualis");
        refuse(fitted, Method::dualdis, "method dualdis ranks by no offset");
        refuse(fitted, Method::gc, "method gc ranks by no offset");
    }
    refuse(Method::dualis, Method::csls, "does not serve csls");
    refuse(Method::dualis, Method::dbsn, "does not serve dbsn");
}

}  // namespace
