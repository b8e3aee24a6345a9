// Oracle: methods_oracle.h and method_offsets.h, each paper in double
// precision.

#include <gtest/gtest.h>
#include <omp.h>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/core/merge.h"
#include "faiss_qbnorm/fit.h"
#include "tests/engine/block_gallery.h"
#include "tests/engine/engines.h"
#include "tests/engine/method_scenes.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;
using engines::Cut;
using scenes::Scene;

constexpr Metric metrics[] = {Metric::inner_product, Metric::l2};

class FitMethods : public engines::OnEveryEngine {
  protected:
    /// csls, nnn and cent sum exact scores; the others, products, of which a
    /// distance between unit vectors, up to 4, takes two.
    static double tolerance(const Normalization& normalization, Metric metric) {
        const double exact = 2e-6;
        if (column_kind(normalization.method) != Method::is &&
            normalization.method != Method::dbsn) {
            return exact;
        }
        const double beta = std::min(normalization.beta, normalization.beta2);
        return exact +
               GetParam().tolerance(beta) * (metric == Metric::l2 ? 4 : 1);
    }

    static void expect_right(const NormTable& table, const Scene& scene,
                             const Normalization& normalization) {
        SCOPED_TRACE(to_string(normalization) + ", " + name_of(scene.metric));
        check(table);
        const BankColumn column = ranking_column(table, normalization.method);
        const oracle::Row expected = scene.offsets(normalization);
        ASSERT_EQ(column.offsets.size(), expected.size());
        for (size_t j = 0; j < expected.size(); j++) {
            ASSERT_NEAR(column.offsets[j], expected[j],
                        tolerance(normalization, scene.metric))
                << "item " << j;
        }
    }
};
QBNORM_ON_EVERY_ENGINE(FitMethods);

TEST_P(FitMethods, GivesThePapersOffsets) {
    const auto engine = make(Cut::small);
    const engines::Edges edges;
    for (const Metric metric : metrics) {
        const Scene scene =
            scenes::scene(metric, edges.some_items, edges.some_queries, 57, 24);
        for (const Normalization& normalization : scenes::all()) {
            if (!scenes::has_metric(normalization, metric)) continue;
            expect_right(scene.fit_with(*engine, normalization), scene,
                         normalization);
        }
    }
}

TEST_P(FitMethods, WorksAtTheEdges) {
    const auto engine = make();
    for (const Metric metric : metrics) {
        for (const Normalization& normalization : scenes::all()) {
            if (!scenes::has_metric(normalization, metric)) continue;
            for (const idx_t items : {1, 2, 33}) {
                for (const idx_t rows : {1, 2, 257}) {
                    for (const int d : {1, 7}) {
                        const Scene scene =
                            scenes::scene(metric, items, rows, rows, d);
                        expect_right(scene.fit_with(*engine, normalization),
                                     scene, normalization);
                    }
                }
            }
        }
    }
}

// Ties among neighbours, items level with one another, rows of zeros.
TEST_P(FitMethods, TakesDuplicatesAndZeros) {
    const auto engine = make(Cut::small);
    for (const Metric metric : metrics) {
        Scene scene = scenes::scene(metric, 120, 90, 40, 8);
        for (Matrix* matrix :
             {&scene.gallery, &scene.bank, &scene.gallerybank}) {
            std::copy_n(matrix->data.begin(), 8 * 15,
                        matrix->data.begin() + 8 * 15);
            std::fill_n(matrix->data.begin() + 8 * 32, 8 * 3, 0.0F);
        }
        for (const Normalization& normalization : scenes::all()) {
            if (!scenes::has_metric(normalization, metric)) continue;
            const NormTable table = scene.fit_with(*engine, normalization);
            expect_right(table, scene, normalization);
            const auto& offsets = table.columns[0].offsets;
            for (idx_t i = 0; i < 15; i++) {
                // BLAS sums rows at the edge of a tile in another order.
                EXPECT_NEAR(offsets[i], offsets[15 + i], 1e-6);
            }
        }
    }
}

TEST_P(FitMethods, MakesTheColumnsOfTheMethod) {
    const auto engine = make();
    const Scene scene = scenes::scene(Metric::inner_product, 40, 30, 20, 8);
    for (const Normalization& normalization : scenes::all()) {
        SCOPED_TRACE(to_string(normalization));
        const bool dual = normalization.method == Method::dualis;
        const bool weighted = normalization.method == Method::dbsn;
        const NormTable table = scene.fit_with(*engine, normalization);
        ASSERT_EQ(table.columns.size(), dual ? 2U : 1U);
        for (const BankColumn& column : table.columns) {
            const bool first = column.bank == Bank::querybank;
            const Matrix& bank = first ? scene.bank : scene.gallerybank;
            EXPECT_EQ(column.bank_size, bank.rows);
            EXPECT_EQ(column.bank_fingerprint, fingerprint({bank.view()}));
            EXPECT_EQ(column.normalization, normalization);
            EXPECT_EQ(column.activation.words().empty(), !dual);
            EXPECT_EQ(column.lists.length > 0, dual);
            EXPECT_EQ(column.log_weights.size(),
                      weighted ? static_cast<size_t>(bank.rows) : 0U);
        }
        EXPECT_EQ(table.columns[0].bank, Bank::querybank);
    }
}

// Each bank's column is the one of is, at its own beta.
TEST_P(FitMethods, FitsEachBankOfDualIsAsIs) {
    const auto engine = make();
    const Scene scene = scenes::scene(Metric::l2, 140, 70, 30, 8);
    Normalization normalization = scenes::dualis(20, 3);
    normalization.activation_k = 2;
    const NormTable both = scene.fit_with(*engine, normalization);
    for (const BankColumn& column : both.columns) {
        const bool first = column.bank == Bank::querybank;
        const Matrix& bank = first ? scene.bank : scene.gallerybank;
        FitOptions options =
            scene.options({Method::is, first ? 20.0F : 3.0F, 2});
        const BankColumn expected =
            fit(*engine, MemoryGallery(scene.gallery.view()), bank.view(),
                options)
                .columns[0];
        EXPECT_TRUE(std::ranges::equal(column.offsets, expected.offsets));
        EXPECT_TRUE(std::ranges::equal(column.activation.words(),
                                       expected.activation.words()));
        EXPECT_TRUE(
            std::ranges::equal(column.lists.labels, expected.lists.labels));
    }
}

void expect_same(const NormTable& a, const NormTable& b) {
    EXPECT_EQ(a.fingerprint, b.fingerprint);
    ASSERT_EQ(a.columns.size(), b.columns.size());
    for (size_t i = 0; i < a.columns.size(); i++) {
        const BankColumn& x = a.columns[i];
        const BankColumn& y = b.columns[i];
        EXPECT_TRUE(same_bank_and_fit(x, y));
        EXPECT_TRUE(std::ranges::equal(x.offsets, y.offsets));
        EXPECT_TRUE(
            std::ranges::equal(x.activation.words(), y.activation.words()));
        EXPECT_TRUE(std::ranges::equal(x.lists.labels, y.lists.labels));
        EXPECT_TRUE(std::ranges::equal(x.lists.scores, y.lists.scores));
    }
}

TEST_P(FitMethods, MergesToTheBit) {
    const auto engine = make();
    const idx_t items = engines::Edges().some_items;
    for (const Metric metric : metrics) {
        const Scene scene = scenes::scene(metric, items, 130, 70, 37);
        for (const Normalization& normalization : scenes::all()) {
            if (!scenes::has_metric(normalization, metric)) continue;
            SCOPED_TRACE(to_string(normalization));
            const NormTable whole = scene.fit_with(*engine, normalization);
            std::vector<NormTable> parts;
            const idx_t cuts[] = {0, 1, 65, 65, items};
            for (int i = 0; i < 4; i++) {
                FitOptions rows = scene.options(normalization);
                rows.begin = cuts[i];
                rows.end = cuts[i + 1];
                parts.push_back(fit(*engine,
                                    MemoryGallery(scene.gallery.view()),
                                    scene.banks(), rows));
            }
            const NormTable* shuffled[] = {&parts[3], &parts[0], &parts[2],
                                           &parts[1]};
            expect_same(merge(shuffled), whole);
        }
    }
}

// Oracle: the fit of all items at once.
TEST_P(FitMethods, FitsMoreAsTheWholeToTheBit) {
    const auto engine = make();
    const idx_t items = engines::Edges().some_items;
    for (const Metric metric : metrics) {
        const Scene scene = scenes::scene(metric, items, 130, 70, 37);
        for (const Normalization& normalization : scenes::all()) {
            if (!scenes::has_metric(normalization, metric)) continue;
            SCOPED_TRACE(to_string(normalization));
            FitOptions options = scene.options(normalization);
            options.list_length = default_list_length(normalization);
            const auto first = [&](idx_t rows) {
                return MemoryGallery(scene.gallery.view().slice(0, rows));
            };
            const NormTable whole =
                fit(*engine, first(items), scene.banks(), options);
            NormTable table = fit(*engine, first(0), scene.banks(), options);
            for (const idx_t rows : {idx_t{1}, idx_t{65}, idx_t{65}, items}) {
                table = fit_more(*engine, table, first(rows), scene.banks());
                EXPECT_EQ(table.gallery_size, rows);
            }
            expect_same(table, whole);
        }
    }
}

TEST_P(FitMethods, FitsMoreOfWhatTheTableWasFittedWithOnly) {
    const auto engine = make();
    const Scene scene = scenes::scene(Metric::inner_product, 40, 30, 20, 8);
    const MemoryGallery gallery(scene.gallery.view());
    const MemoryGallery some(scene.gallery.view().slice(0, 25));
    const NormTable table =
        fit(*engine, some, scene.banks(), scene.options(Method::dualis));
    const auto refuse = [&](const NormTable& before, const Gallery& items,
                            const Banks& banks, const char* text) {
        EXPECT_THROW_SAYING(fit_more(*engine, before, items, banks), Error,
                            text);
    };
    const Matrix others = testdata::unit(31, 8, 99);
    const MatrixView as_many = others.view().slice(0, 30);
    refuse(table, gallery, {others.view(), scene.gallerybank.view()},
           "querybank of 31 rows is not the one");
    refuse(table, gallery, {scene.bank.view(), as_many},
           "gallerybank of 30 rows is not the one");
    refuse(table, gallery, scene.bank.view(),
           "gallerybank of 0 rows is not the one");
    refuse(table, gallery, {as_many, scene.gallerybank.view()},
           "were not fitted with the same bank");
    refuse(table, MemoryGallery(others.view().slice(0, 24)), scene.banks(),
           "rows 25:24 are not a range");
    refuse(table, MemoryGallery(testdata::unit(40, 9, 1).view()), scene.banks(),
           "has dimension 8");
    NormTable bare = table;
    bare.columns[1].lists = {};
    refuse(bare, gallery, scene.banks(), "saved without bank lists");
    bare.columns[1].offsets = {};
    refuse(bare, gallery, scene.banks(), "arrays are not of its size");
}

TEST_P(FitMethods, DoesNotDependOnBlocksThreadsOrOrder) {
    const auto engine = make();
    const int before = omp_get_max_threads();
    for (const Metric metric : metrics) {
        const Scene scene = scenes::scene(metric, 203, 130, 70, 21);
        for (const Normalization& normalization : scenes::all()) {
            if (!scenes::has_metric(normalization, metric)) continue;
            SCOPED_TRACE(to_string(normalization));
            const NormTable whole = scene.fit_with(*engine, normalization);
            const auto in_blocks = [&](idx_t rows, bool labelled) {
                return fit(
                    *engine,
                    engines::BlockGallery(scene.gallery.view(), rows, labelled),
                    scene.banks(), scene.options(normalization));
            };
            expect_same(in_blocks(50, false), whole);
            omp_set_num_threads(3);
            expect_same(in_blocks(128, false), whole);
            omp_set_num_threads(before);
            const NormTable backwards = in_blocks(64, true);
            EXPECT_EQ(backwards.fingerprint, whole.fingerprint);
            expect_right(backwards, scene, normalization);
        }
    }
}

TEST_P(FitMethods, FitsNoItems) {
    const auto engine = make();
    for (const Normalization& normalization : scenes::all()) {
        Scene scene = scenes::scene(Metric::inner_product, 1, 30, 20, 8);
        scene.gallery = {{}, 0, 8};
        const NormTable table = scene.fit_with(*engine, normalization);
        check(table);
        EXPECT_EQ(table.size(), 0);
        EXPECT_TRUE(
            ranking_column(table, normalization.method).offsets.empty());
    }
}

TEST_P(FitMethods, RefusesBadInput) {
    const auto engine = make();
    const Scene scene = scenes::scene(Metric::inner_product, 40, 30, 20, 8);
    const auto refuse = [&](const Scene& s, const Normalization& normalization,
                            const char* text) {
        EXPECT_THROW_SAYING(s.fit_with(*engine, normalization), Error, text);
    };
    refuse(scene, Method::gc, "gc ranks by the bank itself and has no table");
    Scene distances = scene;
    distances.metric = Metric::l2;
    refuse(distances, Method::cent, "cent is defined by the inner product");
    Scene alone = scene;
    alone.gallerybank = {};
    refuse(alone, Method::dualis, "method dualis needs a gallerybank");
    refuse(alone, Method::dualdis, "method dualdis needs a gallerybank");
    for (const Normalization& normalization : scenes::all()) {
        Scene broken = scene;
        broken.gallerybank.data[3 * 8 + 2] = NAN;
        refuse(broken, normalization, "gallerybank: row 3");
        broken = scene;
        broken.gallerybank = testdata::unit(20, 4, 1);
        refuse(broken, normalization, "gallerybank has dimension 4");
        broken = scene;
        broken.bank = {{}, 0, 8};
        if (normalization.method != Method::dbsn) {
            refuse(broken, normalization, "querybank is empty");
        }
        broken = scene;
        for (Matrix* matrix :
             {&broken.gallery, &broken.bank, &broken.gallerybank}) {
            for (float& x : matrix->data) x = 3e38F;
        }
        if (normalization == scenes::nnn(10, 0)) continue;  // takes nothing
        refuse(broken, normalization, "overflow");
    }
    Normalization wrong = Method::csls;
    wrong.neighbours = 0;
    refuse(scene, wrong, "neighbours is 0");
    wrong = Method::nnn;
    wrong.alpha = -1;
    refuse(scene, wrong, "alpha is -1");
    wrong = Method::dualis;
    wrong.beta2 = 0;
    refuse(scene, wrong, "beta2 is 0");
    wrong = Method::dbsn;
    wrong.iterations = 0;
    refuse(scene, wrong, "iterations is 0");
}

// dbsn's own weights: of the whole gallery, and of the gallerybank.
TEST_P(FitMethods, LearnsWeightsFromGalleryAndGallerybank) {
    const auto engine = make(Cut::small);
    for (const Metric metric : metrics) {
        for (const idx_t others : {0, 1, 57}) {
            const Scene scene = scenes::scene(metric, 130, 61, others, 24);
            for (const Normalization& normalization :
                 {scenes::dbsn(100), scenes::dbsn(20, 1),
                  scenes::dbsn(5, 40)}) {
                SCOPED_TRACE(to_string(normalization) + ", " + name_of(metric));
                FitOptions options = scene.options(normalization);
                options.log_weights = {};
                const auto fit_rows = [&](idx_t begin, idx_t end) {
                    options.begin = begin;
                    options.end = end;
                    return fit(*engine, MemoryGallery(scene.gallery.view()),
                               scene.banks(), options);
                };
                const NormTable table = fit_rows(0, 130);
                const oracle::Row expected = oracle::offsets_of(
                    normalization,
                    {metric, scene.gallery.view(), scene.bank.view(),
                     scene.gallerybank.view()});
                for (idx_t j = 0; j < 130; j++) {
                    ASSERT_NEAR(table.columns[0].offsets[j], expected[j],
                                tolerance(normalization, metric))
                        << "item " << j;
                }
                const NormTable first = fit_rows(0, 50);
                const NormTable second = fit_rows(50, 130);
                const NormTable* parts[] = {&first, &second};
                expect_same(merge(parts), table);
                // More items are fitted as those before.
                options.log_weights = table.columns[0].log_weights;
                expect_same(fit_rows(0, 130), table);
            }
        }
    }
}

TEST_P(FitMethods, HoldsWeightsToTheBank) {
    const auto engine = make();
    const Scene scene = scenes::scene(Metric::inner_product, 40, 30, 20, 8);
    const auto refuse = [&](std::vector<float> weights, const char* text) {
        FitOptions options = scene.options(Method::dbsn);
        options.log_weights = std::move(weights);
        EXPECT_THROW_SAYING(fit(*engine, MemoryGallery(scene.gallery.view()),
                                scene.banks(), options),
                            Error, text);
    };
    refuse(std::vector<float>(29), "holds 29 weights but the bank 30 queries");
    refuse(std::vector<float>(31), "holds 31 weights but the bank 30 queries");
    std::vector<float> bad(30);
    bad[7] = NAN;
    refuse(bad, "log_weights holds NaN or Inf");
    bad[7] = -INFINITY;
    refuse(bad, "log_weights holds NaN or Inf");
}

}  // namespace
