// Oracle: oracle.h, the paper in double precision.

#include "faiss_qbnorm/fit.h"

#include <gtest/gtest.h>
#include <omp.h>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/merge.h"
#include "tests/data.h"
#include "tests/engine/block_gallery.h"
#include "tests/engine/engines.h"
#include "tests/oracle.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;
using engines::BlockGallery;
using engines::Cut;

class Fit : public engines::OnEveryEngine {};
QBNORM_ON_EVERY_ENGINE(Fit);

FitOptions options_for(Metric metric, float beta = 20, idx_t activation_k = 1) {
    FitOptions options;
    options.metric = metric;
    options.normalization = {Method::dis, beta, activation_k};
    return options;
}

/// `tolerance` is of the offsets; `exact`, of the scores in the lists.
void expect_table(const NormTable& table, Metric metric, const Matrix& gallery,
                  const Matrix& bank, double tolerance, double exact = 2e-6) {
    const BankColumn& column = column_of(table, Bank::querybank);
    const auto probe =
        oracle::similarities(metric, bank.view(), gallery.view());
    const auto offsets = oracle::is_offsets(probe, column.normalization.beta);
    const auto activation =
        oracle::activation_set(probe, column.normalization.activation_k);
    ASSERT_EQ(column.offsets.size(), offsets.size());
    for (size_t j = 0; j < offsets.size(); j++) {
        ASSERT_NEAR(column.offsets[j], offsets[j], tolerance) << "item " << j;
        ASSERT_EQ(column.activation.contains(static_cast<idx_t>(j)),
                  activation.contains(static_cast<idx_t>(j)))
            << "item " << j;
    }
    const idx_t length = column.lists.length;
    for (idx_t i = 0; i < bank.rows; i++) {
        oracle::expect_ranking(probe[i], length,
                               column.lists.scores.data() + i * length,
                               column.lists.labels.data() + i * length, exact);
    }
}

TEST_P(Fit, GivesThePapersOffsetsAndActivationSet) {
    const auto engine = make(Cut::small);
    for (const Metric metric : {Metric::inner_product, Metric::l2}) {
        for (const float beta : {0.01F, 1.0F, 20.0F, 100.0F, 1e4F}) {
            for (const idx_t k : {1, 3, 50}) {
                const Matrix gallery =
                    testdata::unit(engines::Edges().some_items, 24, 5);
                const Matrix bank =
                    testdata::unit(engines::Edges().some_queries, 24, 6);
                const NormTable table =
                    fit(*engine, MemoryGallery(gallery.view()), bank.view(),
                        options_for(metric, beta, k));
                expect_table(table, metric, gallery, bank,
                             GetParam().tolerance(beta));
            }
        }
    }
}

TEST_P(Fit, WorksAtTheEdges) {
    const engines::Edges edges;
    const auto engine = make();
    for (const int d : {1, 3, 129}) {
        for (const idx_t items : edges.items) {
            for (const idx_t queries : edges.bank) {
                const Matrix gallery = testdata::unit(items, d, 7);
                const Matrix bank = testdata::unit(queries, d, 8);
                const NormTable table =
                    fit(*engine, MemoryGallery(gallery.view()), bank.view(),
                        options_for(Metric::inner_product));
                expect_table(table, Metric::inner_product, gallery, bank,
                             GetParam().tolerance(20));
            }
        }
    }
    // Lists are no longer than the gallery.
    const Matrix few = testdata::unit(2, 4, 7);
    const Matrix many = testdata::unit(3, 4, 8);
    EXPECT_EQ(fit(*engine, MemoryGallery(few.view()), many.view(), {})
                  .columns[0]
                  .lists.length,
              2);
    // No items yet: an index whose bank comes before its vectors.
    const Matrix bank = testdata::unit(3, 4, 8);
    const NormTable empty = fit(*engine, MemoryGallery({nullptr, 0, 4}),
                                bank.view(), options_for(Metric::l2));
    EXPECT_EQ(empty.size(), 0);
    EXPECT_EQ(empty.columns[0].lists.labels[0], -1);
}

TEST_P(Fit, KeepsItsDigitsFarFromTheOrigin) {
    const auto engine = make(Cut::small);
    for (const float mean : {0.0F, 10.0F, 100.0F}) {
        Matrix gallery = testdata::gaussian(200, 64, 5);
        Matrix bank = testdata::gaussian(150, 64, 6);
        for (Matrix* matrix : {&gallery, &bank}) {
            for (float& x : matrix->data) x = 0.1F * x + mean;
        }
        const NormTable table = fit(*engine, MemoryGallery(gallery.view()),
                                    bank.view(), options_for(Metric::l2));
        // Half has eleven bits of |b||g|, which is about 1 here; bf16 eight.
        double tolerance = 5e-6;
        if (GetParam().precision == Precision::fp16) tolerance = 2e-3;
        if (GetParam().precision == Precision::bf16) tolerance = 8e-3;
        expect_table(table, Metric::l2, gallery, bank, tolerance, 5e-6);
    }
}

TEST_P(Fit, CountsEveryRow) {
    struct Forgetful : MemoryGallery {
        using MemoryGallery::MemoryGallery;
        void for_each_block(idx_t begin, idx_t end,
                            const BlockVisitor& visit) const override {
            MemoryGallery::for_each_block(begin, end - 1, visit);
        }
    };
    const Matrix gallery = testdata::unit(20, 8, 11);
    EXPECT_THROW_SAYING(
        fit(*make(), Forgetful(gallery.view()), gallery.view(), {}), Error,
        "showed 19 rows instead of 20");
}

TEST_P(Fit, RanksTiesByLabel) {
    // Every item alike, and every bank query.
    Matrix gallery{std::vector<float>(200 * 8, 0.25F), 200, 8};
    Matrix bank{std::vector<float>(50 * 8, 0.5F), 50, 8};
    const auto engine = make(Cut::small);
    const NormTable table =
        fit(*engine, MemoryGallery(gallery.view()), bank.view(),
            options_for(Metric::inner_product, 20, 3));
    const BankColumn& column = table.columns[0];
    EXPECT_EQ(column.activation.count(), 3);
    for (idx_t i = 0; i < column.lists.length; i++) {
        EXPECT_EQ(column.lists.labels[i], i);
    }
    for (const float offset : column.offsets) EXPECT_NEAR(offset, 1, 1e-7);
}

void expect_same(const NormTable& a, const NormTable& b) {
    EXPECT_EQ(a.fingerprint, b.fingerprint);
    const BankColumn& x = a.columns[0];
    const BankColumn& y = b.columns[0];
    EXPECT_TRUE(std::ranges::equal(x.offsets, y.offsets));
    EXPECT_TRUE(std::ranges::equal(x.activation.words().view(),
                                   y.activation.words().view()));
    EXPECT_TRUE(std::ranges::equal(x.lists.labels, y.lists.labels));
    EXPECT_TRUE(std::ranges::equal(x.lists.scores, y.lists.scores));
}

constexpr Metric metrics[] = {Metric::inner_product, Metric::l2};

// A dimension and sizes where BLAS kernels have remainders everywhere.
struct Parts {
    const Matrix gallery = testdata::unit(engines::Edges().many_items, 37, 9);
    const Matrix bank = testdata::unit(engines::Edges().large_bank, 37, 10);
    const Engine& engine;
    const FitOptions options;
    const NormTable whole;

    Parts(const Engine& engine, Metric metric)
        : engine(engine), options(options_for(metric)), whole(table_of()) {}

    NormTable table_of() const {
        return fit(engine, MemoryGallery(gallery.view()), bank.view(), options);
    }

    NormTable table_of_blocks(idx_t block, bool labelled) const {
        return fit(engine, BlockGallery(gallery.view(), block, labelled),
                   bank.view(), options);
    }
};

TEST_P(Fit, IsTheSameToTheBitForAnyBlockSize) {
    const auto engine = make();
    for (const Metric metric : metrics) {
        const Parts parts(*engine, metric);
        for (const idx_t block : {5, 128, 500}) {
            expect_same(parts.whole, parts.table_of_blocks(block, false));
        }
    }
}

TEST_P(Fit, IsTheSameToTheBitForAnyThreadCount) {
    const auto engine = make();
    const int before = omp_get_max_threads();
    for (const Metric metric : metrics) {
        const Parts parts(*engine, metric);
        for (const int threads : {1, 2, 5}) {
            omp_set_num_threads(threads);
            expect_same(parts.whole, parts.table_of());
        }
        omp_set_num_threads(before);
    }
}

TEST_P(Fit, MergesToTheBit) {
    const auto engine = make();
    const idx_t cuts[] = {0, 1, 130, 240, 241, engines::Edges().many_items};
    for (const Metric metric : metrics) {
        const Parts parts(*engine, metric);
        std::vector<NormTable> tables;
        for (int i = 0; i + 1 < 6; i++) {
            FitOptions rows = parts.options;
            rows.begin = cuts[i];
            rows.end = cuts[i + 1];
            tables.push_back(fit(*engine, MemoryGallery(parts.gallery.view()),
                                 parts.bank.view(), rows));
        }
        const NormTable* shuffled[] = {&tables[3], &tables[0], &tables[4],
                                       &tables[2], &tables[1]};
        const NormTable merged = merge(shuffled);
        EXPECT_TRUE(merged.is_whole());
        expect_same(parts.whole, merged);
    }
}

TEST_P(Fit, PutsLabelledBlocksInTheirPlaces) {
    const auto engine = make();
    for (const Metric metric : metrics) {
        const Parts parts(*engine, metric);
        const NormTable table = parts.table_of_blocks(300, true);
        EXPECT_EQ(table.fingerprint, parts.whole.fingerprint);
        expect_table(table, metric, parts.gallery, parts.bank,
                     GetParam().tolerance(20));
    }
}

// Oracle: the same gallery in blocks.
TEST_P(Fit, ProbesABoundGalleryAsItsBlocks) {
    const auto engine = make(Cut::small);
    for (const Metric metric : metrics) {
        const Matrix gallery = testdata::unit(333, 16, 1);
        const Matrix bank = testdata::unit(70, 16, 2);
        const auto bound_bank = engine->bind_bank(metric, bank.view());
        const GalleryBlock block{gallery.view()};
        const auto bound = engine->bind_gallery(metric, block);
        std::vector<float> offsets[2];
        TopLists winners[2];
        for (const bool whole : {false, true}) {
            offsets[whole].assign(333, 0);
            winners[whole] = TopLists(70, 5);
            const auto probe =
                engine->begin_probe(*bound_bank, {Method::dis, 20, 1},
                                    {0, offsets[whole], winners[whole]});
            whole ? probe->add(*bound) : probe->add(block);
            probe->finish();
        }
        EXPECT_EQ(offsets[0], offsets[1]);
        for (idx_t i = 0; i < 70; i++) {
            const auto a = winners[0].sorted(i);
            const auto b = winners[1].sorted(i);
            ASSERT_EQ(a.size(), b.size());
            for (size_t j = 0; j < a.size(); j++) {
                EXPECT_EQ(a[j].label, b[j].label);
                EXPECT_EQ(a[j].score, b[j].score);
            }
        }
    }
}

TEST_P(Fit, RefusesBadInput) {
    const auto engine = make();
    const Matrix gallery = testdata::unit(20, 8, 11);
    const Matrix bank = testdata::unit(10, 8, 12);
    const MemoryGallery items(gallery.view());
    const FitOptions good = options_for(Metric::inner_product);
    const auto refuse = [&](const Gallery& g, const MatrixView& b,
                            const FitOptions& o, const char* text) {
        EXPECT_THROW_SAYING(fit(*engine, g, b, o), Error, text);
    };
    refuse(items, {bank.data.data(), 0, 8}, good, "querybank is empty");
    refuse(items, {bank.data.data(), 20, 4}, good, "dimension 4");
    Matrix broken = bank;
    broken.data[3 * 8 + 2] = NAN;
    refuse(items, broken.view(), good, "querybank: row 3");
    broken = gallery;
    broken.data[17 * 8] = INFINITY;
    refuse(MemoryGallery(broken.view()), bank.view(), good, "gallery: row 17");
    refuse(items, bank.view(), options_for(Metric::l2, 0), "beta is 0");
    refuse(items, bank.view(), options_for(Metric::l2, 1.1e4F), "beta");
    refuse(items, bank.view(), options_for(Metric::l2, 20, 0), "activation_k");
    FitOptions lists = options_for(Metric::l2, 20, 3);
    lists.list_length = 2;
    refuse(items, bank.view(), lists, "list_length is 2");
    FitOptions rows = good;
    rows.begin = 5;
    rows.end = 21;
    refuse(items, bank.view(), rows, "rows 5:21");
    broken = gallery;
    for (float& x : broken.data) x = 3e38F;
    Matrix large = bank;
    for (float& x : large.data) x = 3e38F;
    refuse(MemoryGallery(broken.view()), large.view(), good, "overflow");
}

}  // namespace
