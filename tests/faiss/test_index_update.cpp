// Oracle: the table of a fit from scratch (held to the paper in test_fit.cpp).

#include <faiss/IndexFlat.h>
#include <faiss/IndexIVF.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/IDSelector.h>
#include <gtest/gtest.h>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "faiss_qbnorm/cpu/engine_cpu.h"
#include "faiss_qbnorm/fit.h"
#include "tests/data.h"
#include "tests/faiss/bases.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

const Matrix gallery = testdata::unit(700, 16, 1);
const Matrix bank = testdata::unit(90, 16, 2);

NormTable fitted(Metric metric, idx_t rows) {
    FitOptions options;
    options.metric = metric;
    return fit(*make_engine_cpu(), MemoryGallery(gallery.view().slice(0, rows)),
               bank.view(), options);
}

void expect_same(const NormTable& a, const NormTable& b, double tolerance) {
    ASSERT_EQ(a.gallery_size, b.gallery_size);
    EXPECT_EQ(a.fingerprint, b.fingerprint);
    const BankColumn& x = a.columns[0];
    const BankColumn& y = b.columns[0];
    for (idx_t i = 0; i < a.gallery_size; i++) {
        ASSERT_NEAR(x.offsets[i], y.offsets[i], tolerance);
        ASSERT_EQ(x.activation.contains(i), y.activation.contains(i));
    }
}

TEST(Update, BankBeforeVectorsIsBankAfterVectors) {
    for (const char* factory : {"Flat", "IVF4,Flat", "HNSW8,Flat"}) {
        const auto base = bases::make(factory, Metric::inner_product, gallery);
        base->reset();
        IndexQBNorm index(base.get());
        index.set_querybank(bank.rows, bank.data.data());
        for (const auto& [begin, end] :
             {std::pair{0, 1}, {1, 300}, {300, 300}, {300, 700}}) {
            index.add(end - begin, gallery.view().row(begin));
            EXPECT_EQ(index.ntotal, end);
        }
        expect_same(*index.table(), fitted(Metric::inner_product, 700), 0);
    }
}

TEST(Update, ReadsBackWhatTheBaseHolds) {
    struct Base {
        const char* factory;
        double tolerance;
    };
    for (const auto& [factory, tolerance] :
         {Base{"Flat", 0}, Base{"IVF4,Flat", 1e-6}, Base{"HNSW8,Flat", 0}}) {
        for (const Metric metric : {Metric::inner_product, Metric::l2}) {
            const auto base = bases::make(factory, metric, gallery);
            IndexQBNorm index(base.get());
            index.set_querybank(bank.rows, bank.data.data());
            expect_same(*index.table(), fitted(metric, 700), tolerance);
        }
    }
    // Behind a rotation, vectors come back up to rounding.
    const auto base = bases::make("RR16,IVF4,Flat", Metric::l2, gallery);
    IndexQBNorm index(base.get());
    index.set_querybank(bank.rows, bank.data.data());
    const NormTable expected = fitted(Metric::l2, 700);
    for (idx_t i = 0; i < 700; i++) {
        ASSERT_NEAR(index.table()->columns[0].offsets[i],
                    expected.columns[0].offsets[i], 1e-5);
    }
}

TEST(Update, PrefersTheOriginalsOfALossyBase) {
    const auto base = bases::make("IVF4,PQ4x4", Metric::inner_product, gallery);
    IndexQBNorm index(base.get());
    index.set_querybank(bank.rows, bank.data.data());
    const float approximate = index.table()->columns[0].offsets[0];
    index.set_querybank(bank.rows, bank.data.data(), gallery.data.data());
    expect_same(*index.table(), fitted(Metric::inner_product, 700), 0);
    EXPECT_NE(index.table()->columns[0].offsets[0], approximate);
}

TEST(Update, ResetKeepsTheBank) {
    const auto base = bases::make("Flat", Metric::l2, gallery);
    IndexQBNorm index(base.get());
    index.set_querybank(bank.rows, bank.data.data());
    index.reset();
    EXPECT_EQ(index.ntotal, 0);
    index.add(200, gallery.data.data());
    expect_same(*index.table(), fitted(Metric::l2, 200), 0);
}

TEST(Update, ABankMayComeBeforeTraining) {
    for (const char* factory : {"IVF4,Flat", "PCA8,IVF4,Flat", "SQ8"}) {
        const std::unique_ptr<faiss::Index> base(
            faiss::index_factory(16, factory, faiss::METRIC_INNER_PRODUCT));
        IndexQBNorm early(base.get());
        early.set_querybank(bank.rows, bank.data.data());
        EXPECT_EQ(early.table(), nullptr);
        early.train(gallery.rows, gallery.data.data());
        early.add(gallery.rows, gallery.data.data());
        const NormTable table = *early.table();
        early.set_querybank(bank.rows, bank.data.data(), gallery.data.data());
        expect_same(table, *early.table(), 0);
    }
}

TEST(Update, TakesATableOfTheOriginalsBehindARotation) {
    const auto base =
        bases::make("RR16,IVF4,Flat", Metric::inner_product, gallery);
    IndexQBNorm index(base.get());
    index.set_table(fitted(Metric::inner_product, 700));
    IndexQBNorm fitting(base.get());
    fitting.set_querybank(bank.rows, bank.data.data());
    for (idx_t i = 0; i < 700; i++) {
        ASSERT_NEAR(index.table()->columns[0].offsets[i],
                    fitting.table()->columns[0].offsets[i], 1e-5);
    }
    // Its own table, of the rotated vectors, comes back too.
    index.set_table(*fitting.table());
}

TEST(Update, TakesATable) {
    const auto base = bases::make("Flat", Metric::inner_product, gallery);
    IndexQBNorm fitting(base.get());
    fitting.normalization = {Method::is, 12, 3};
    fitting.set_querybank(bank.rows, bank.data.data());
    IndexQBNorm taking(base.get());
    taking.set_table(*fitting.table());
    EXPECT_EQ(taking.normalization, fitting.normalization);
    std::vector<float> distances(70);
    std::vector<idx_t> labels(70);
    std::vector<float> expected_distances(70);
    std::vector<idx_t> expected(70);
    taking.search(7, bank.data.data(), 10, distances.data(), labels.data());
    fitting.search(7, bank.data.data(), 10, expected_distances.data(),
                   expected.data());
    EXPECT_EQ(labels, expected);
    EXPECT_EQ(distances, expected_distances);
}

// The engine that the index was given does the arithmetic.
TEST(Update, RunsOnTheEngineItWasGiven) {
    struct Counting : Engine {
        std::unique_ptr<Engine> cpu = make_engine_cpu();
        mutable int probes = 0;
        mutable int scans = 0;
        mutable int reranks = 0;

        std::string_view name() const override { return "counting"; }
        std::string describe() const override { return cpu->describe(); }
        std::unique_ptr<BoundBank> bind_bank(
            Metric metric, const MatrixView& m) const override {
            return cpu->bind_bank(metric, m);
        }
        std::unique_ptr<BoundGallery> bind_gallery(
            Metric metric, const GalleryBlock& b) const override {
            return cpu->bind_gallery(metric, b);
        }
        std::unique_ptr<BoundTable> bind_table(
            const NormTable& t, const BankColumn& c) const override {
            return cpu->bind_table(t, c);
        }
        std::unique_ptr<Probe> begin_probe(
            const BoundBank& b, const Normalization& n,
            const ProbeResults& results) const override {
            probes++;
            return cpu->begin_probe(b, n, results);
        }
        void scan(const BoundGallery& g, const BoundTable* t,
                  const MatrixView& q, ScanState& s) const override {
            scans++;
            cpu->scan(g, t, q, s);
        }
        void rerank(const BoundTable& t, Method m, const Candidates& c, idx_t k,
                    const Answers& a) const override {
            reranks++;
            cpu->rerank(t, m, c, k, a);
        }
    };
    const auto engine = std::make_shared<Counting>();
    std::vector<float> distances(10);
    std::vector<idx_t> labels(10);
    for (const char* factory : {"Flat", "HNSW8,Flat"}) {
        const auto base = bases::make(factory, Metric::inner_product, gallery);
        IndexQBNorm index(base.get(), engine);
        EXPECT_EQ(index.engine().name(), "counting");
        index.set_querybank(bank.rows, bank.data.data());
        index.search(1, bank.data.data(), 10, distances.data(), labels.data());
    }
    EXPECT_EQ(engine->probes, 2);
    EXPECT_EQ(engine->scans, 1);
    EXPECT_EQ(engine->reranks, 1);
}

// A table of the originals before a rotation: what is added later is fitted on
// its originals, too.
TEST(Update, AddsToATableOfTheOriginalsBehindARotation) {
    for (const char* factory : {"RR16,IVF4,Flat", "RR20,Flat"}) {
        const Matrix first{
            {gallery.data.begin(), gallery.data.begin() + 600 * 16}, 600, 16};
        const auto base = bases::make(factory, Metric::inner_product, first);
        IndexQBNorm index(base.get());
        index.set_table(fitted(Metric::inner_product, 600), bank.rows,
                        bank.data.data());
        index.add(100, gallery.view().row(600));
        expect_same(*index.table(), fitted(Metric::inner_product, 700), 1e-6);
        // And through a removal, which only the base's own vectors can follow.
        if (factory[3] == '6') index.remove_ids(faiss::IDSelectorRange(0, 50));
        index.add(50, gallery.data.data());
        EXPECT_EQ(index.table()->items(), index.ntotal);
    }
}

const Matrix gallerybank = testdata::unit(180, 16, 77);

NormTable fitted_for_two(const MatrixView& items) {
    FitOptions options;
    options.normalization = Method::dualis;
    return fit(*make_engine_cpu(), MemoryGallery(items),
               {bank.view(), gallerybank.view()}, options);
}

/// Items of the fit have labels from `first` in the index.
void expect_both(const NormTable& table, const NormTable& expected,
                 idx_t first) {
    ASSERT_EQ(table.columns.size(), 2U);
    ASSERT_EQ(table.items(), expected.items());
    for (size_t c = 0; c < 2; c++) {
        const BankColumn& x = table.columns[c];
        const BankColumn& y = expected.columns[c];
        ASSERT_TRUE(same_bank_and_fit(x, y));
        for (idx_t i = 0; i < expected.items(); i++) {
            ASSERT_EQ(x.offsets[first + i], y.offsets[i]) << "item " << i;
            ASSERT_EQ(x.activation.contains(first + i),
                      y.activation.contains(i))
                << "item " << i;
        }
    }
}

TEST(Update, TablesOfTwoBanksFollowWhereBothAreHere) {
    const auto base = bases::make("IVF4,Flat", Metric::inner_product, gallery);
    IndexQBNorm index(base.get());
    index.set_table(fitted_for_two(gallery.view()), bank.rows, bank.data.data(),
                    gallerybank.rows, gallerybank.data.data());
    const Matrix more = testdata::unit(60, 16, 78);
    index.add(more.rows, more.data.data());
    const faiss::IDSelectorRange some(0, 50);
    EXPECT_EQ(index.remove_ids(some), 50U);
    Matrix left{{gallery.data.begin() + 50 * 16, gallery.data.end()}, 710, 16};
    left.data.insert(left.data.end(), more.data.begin(), more.data.end());
    expect_both(*index.table(), fitted_for_two(left.view()), 50);
    index.reset();
    EXPECT_EQ(index.table()->items(), 0);
    index.add(more.rows, more.data.data());
    expect_both(*index.table(), fitted_for_two(more.view()), 0);
}

TEST(Update, TablesOfTwoBanksFollowRemovalsWhereOneIsMissing) {
    const auto base = bases::make("IVF4,Flat", Metric::inner_product, gallery);
    IndexQBNorm index(base.get());
    index.set_table(fitted_for_two(gallery.view()), bank.rows,
                    bank.data.data());
    EXPECT_THROW_SAYING(index.add(1, gallery.data.data()),
                        faiss::FaissException,
                        "took a table without its gallerybank");
    const faiss::IDSelectorRange some(0, 5);
    EXPECT_EQ(index.remove_ids(some), 5U);
    const Matrix left{
        {gallery.data.begin() + 5 * 16, gallery.data.end()}, 695, 16};
    expect_both(*index.table(), fitted_for_two(left.view()), 5);
    index.reset();
    EXPECT_EQ(index.table()->columns.size(), 2U);
    EXPECT_EQ(index.table()->items(), 0);
}

}  // namespace
