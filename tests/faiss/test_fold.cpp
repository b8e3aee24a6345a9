// Oracle: oracle.h over the whole gallery, or over the base's own candidates.
// Every index goes through a file, and is FAISS's own from there on.

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVF.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/IndexRefine.h>
#include <faiss/VectorTransform.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/IDSelector.h>
#include <faiss/index_io.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <typeinfo>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/cpu/engine_cpu.h"
#include "faiss_qbnorm/faiss/base_gallery.h"
#include "faiss_qbnorm/fit.h"
#include "faiss_qbnorm/fold/fold.h"
#include "faiss_qbnorm/fold/search_folded.h"
#include "tests/data.h"
#include "tests/faiss/bases.h"
#include "tests/oracle.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

using Owned = std::unique_ptr<faiss::Index>;

constexpr idx_t items = 1000;
constexpr idx_t nq = 60;
constexpr int d = 24;
constexpr idx_t k = 10;
constexpr float every_item = items / k;  // as k_factor
constexpr double tolerance = 1e-5;

class Fold : public testing::Test {
  protected:
    const Matrix gallery = testdata::unit(items, d, 1);
    const Matrix queries = testdata::unit(nq, d, 2);
    const Matrix bank = testdata::unit(90, d, 3);
    const MemoryGallery in_memory{gallery.view()};
    const oracle::Reference reference{Metric::inner_product,
                                      gallery.view(),
                                      queries.view(),
                                      bank.view(),
                                      20,
                                      1};
    const NormTable table = fitted({});
    const BankColumn& column = table.columns[0];
    std::vector<float> distances = std::vector<float>(nq * k);
    std::vector<idx_t> labels = std::vector<idx_t>(nq * k);

    NormTable fitted(const FitOptions& options) const {
        return fit(*make_engine_cpu(), in_memory, bank.view(), options);
    }

    static Owned through_file(const Owned& index) {
        const TemporaryFolder folder;
        const std::string file = folder / "folded.faiss";
        faiss::write_index(index.get(), file.c_str());
        return Owned(faiss::read_index(file.c_str()));
    }

    Owned folded(const std::string& factory) const {
        return through_file(fold(table, in_memory, factory));
    }

    Owned base(const std::string& factory) const {
        return bases::make(factory, Metric::inner_product, gallery);
    }

    Owned refined(const std::string& factory, float k_factor) const {
        return through_file(
            fold_refine(table, in_memory, base(factory), k_factor));
    }

    static faiss::Index& inner(const Owned& index) {
        return *dynamic_cast<faiss::IndexPreTransform&>(*index).index;
    }

    static void probe_every_list(const Owned& index) {
        auto& ivf = dynamic_cast<faiss::IndexIVF&>(inner(index));
        ivf.nprobe = ivf.nlist;
    }

    /// Exactly as good as the oracle: Flat, IVF probed wholly, and an
    /// IndexRefine that is brought every item.
    std::vector<Owned> exact_indexes() const {
        std::vector<Owned> result;
        result.push_back(folded("Flat"));
        result.push_back(folded("IVF16,Flat"));
        probe_every_list(result.back());
        result.push_back(refined("SQ8", every_item));
        return result;
    }

    void search(const faiss::Index& index) {
        index.search(nq, queries.data.data(), k, distances.data(),
                     labels.data());
    }

    void search_dis(const faiss::Index& index,
                    const ActivationSet& activation) {
        search_folded(index, activation, nq, queries.data.data(), k,
                      distances.data(), labels.data());
    }

    bool opens(idx_t query) const {
        const idx_t top1 = oracle::ranking(reference.raw[query])[0];
        return reference.activation.contains(top1);
    }

    /// What a folded index is to score: an open row has the mean on it.
    oracle::Row scores(Method method, idx_t query) const {
        oracle::Row row = reference.scores(method, query);
        if (gate_opens(method, opens(query))) {
            double sum = 0;
            for (const double offset : reference.offsets) sum += offset;
            for (double& score : row) score += sum / items;
        }
        return row;
    }

    void expect_ranking(Method method) const {
        for (idx_t i = 0; i < nq; i++) {
            SCOPED_TRACE(testing::Message() << "query " << i);
            oracle::expect_ranking(scores(method, i), k, &distances[i * k],
                                   &labels[i * k], tolerance);
        }
    }

    double recall() const {
        idx_t hits = 0;
        for (idx_t i = 0; i < nq; i++) {
            const auto best = oracle::ranking(reference.scores(Method::is, i));
            for (idx_t j = i * k; j < (i + 1) * k; j++) {
                hits += std::count(best.begin(), best.begin() + k, labels[j]);
            }
        }
        return static_cast<double>(hits) / (nq * k);
    }
};

// ---- rankings ----

TEST_F(Fold, ExactKindsRankAsTheOracle) {
    for (const Owned& index : exact_indexes()) {
        SCOPED_TRACE(typeid(*index).name());
        EXPECT_EQ(index->d, d);
        EXPECT_EQ(index->ntotal, items);
        search(*index);
        expect_ranking(Method::is);
    }
}

TEST_F(Fold, SingleQueriesTakeNoOtherWay) {
    for (const Owned& index : exact_indexes()) {
        SCOPED_TRACE(typeid(*index).name());
        for (idx_t i = 0; i < nq; i++) {
            index->search(1, queries.view().row(i), k, &distances[i * k],
                          &labels[i * k]);
        }
        expect_ranking(Method::is);
    }
}

// The offsets reorder the raw top 10 well beyond these bounds (the control).
// Scores of SQ8 are off by about 1 / 255 of each coordinate's range; a graph
// search of 128 of 1000 items misses few.
TEST_F(Fold, ApproximateKindsFindMost) {
    search(*base("Flat"));
    EXPECT_LT(recall(), 0.8);
    for (const char* factory :
         {"SQfp16", "SQ8", "IVF16,SQ8", "HNSW32", "HNSW32_SQ8"}) {
        SCOPED_TRACE(factory);
        const Owned index = folded(factory);
        if (auto* hnsw = dynamic_cast<faiss::IndexHNSW*>(&inner(index))) {
            hnsw->hnsw.efSearch = 128;
        } else if (dynamic_cast<faiss::IndexIVF*>(&inner(index))) {
            probe_every_list(index);
        }
        search(*index);
        EXPECT_GT(recall(), 0.93);
    }
}

TEST_F(Fold, RefineRanksWhatTheBaseBrings) {
    constexpr idx_t candidates = 3 * k;
    const Owned flat = base("Flat");
    std::vector<float> base_distances(nq * candidates);
    std::vector<idx_t> brought(nq * candidates);
    flat->search(nq, queries.data.data(), candidates, base_distances.data(),
                 brought.data());
    search(*refined("Flat", 3));
    for (idx_t i = 0; i < nq; i++) {
        oracle::Row row(items, -1e9);
        const oracle::Row whole = scores(Method::is, i);
        for (idx_t j = i * candidates; j < (i + 1) * candidates; j++) {
            row[brought[j]] = whole[brought[j]];
        }
        oracle::expect_ranking(row, k, &distances[i * k], &labels[i * k],
                               tolerance);
    }
}

TEST_F(Fold, FoldedIndexesGoIntoIdMaps) {
    std::vector<idx_t> ids(items);
    for (idx_t i = 0; i < items; i++) ids[i] = 7000 - 3 * i;
    const Owned flat(
        faiss::index_factory(d, "Flat", faiss::METRIC_INNER_PRODUCT));
    auto mapped = std::make_unique<faiss::IndexIDMap>(flat.get());
    mapped->add_with_ids(items, gallery.data.data(), ids.data());
    const Owned inside = folded("Flat");
    mapped->index = inside.get();
    search(*through_file(std::move(mapped)));
    for (idx_t& label : labels) label = (7000 - label) / 3;
    expect_ranking(Method::is);
}

TEST_F(Fold, OffsetsAreCentred) {
    const Owned index = folded("Flat");
    double sum = 0;
    for (idx_t i = 0; i < items; i++) {
        std::vector<float> augmented(d + 1);
        inner(index).reconstruct(i, augmented.data());
        sum += augmented[d];
        EXPECT_NEAR(augmented[d], mean_offset(column) - reference.offsets[i],
                    tolerance);
    }
    EXPECT_NEAR(sum / items, 0, 1e-7);
    EXPECT_GT(mean_offset(column), 0.1);
}

// ---- dynamic ----

TEST_F(Fold, WithoutActivationTheRankingIsRaw) {
    for (const Owned& index : exact_indexes()) {
        SCOPED_TRACE(typeid(*index).name());
        search_dis(*index, ActivationSet(items, {}));
        expect_ranking(Method::none);
    }
}

TEST_F(Fold, SearchFoldedIsDynamicInvertedSoftmax) {
    idx_t open = 0;
    for (idx_t i = 0; i < nq; i++) open += opens(i);
    EXPECT_GT(open, 0);
    EXPECT_LT(open, nq);
    for (const Owned& index : exact_indexes()) {
        SCOPED_TRACE(typeid(*index).name());
        search_dis(*index, column.activation);
        expect_ranking(Method::dis);
    }
}

TEST_F(Fold, SearchFoldedPassesParametersOn) {
    const faiss::IDSelectorRange later(500, items);
    faiss::SearchParameters selecting;
    selecting.sel = const_cast<faiss::IDSelectorRange*>(&later);
    const Owned index = folded("Flat");
    search_folded(*index, column.activation, nq, queries.data.data(), k,
                  distances.data(), labels.data(), &selecting);
    for (idx_t i = 0; i < nq; i++) {
        oracle::Row raw = reference.raw[i];
        std::fill_n(raw.begin(), 500, -1e9);
        const bool open =
            reference.activation.contains(oracle::ranking(raw)[0]);
        oracle::Row row = oracle::method_scores(
            open ? Method::is : Method::none, raw, reference.offsets, {});
        for (double& score : row) score += open ? mean_offset(column) : 0;
        oracle::expect_ranking(row, k, &distances[i * k], &labels[i * k],
                               tolerance);
    }
}

TEST_F(Fold, SlotsPastTheIndexAreEmpty) {
    const Owned index = folded("Flat");
    constexpr idx_t more = items + 3;
    std::vector<float> far(more);
    std::vector<idx_t> found(more);
    for (idx_t i = 0; i < 5; i++) {
        search_folded(*index, column.activation, 1, queries.view().row(i), more,
                      far.data(), found.data());
        oracle::expect_ranking(scores(Method::dis, i), more, far.data(),
                               found.data(), tolerance);
    }
    search_folded(*index, column.activation, 0, nullptr, k, nullptr, nullptr);
}

TEST_F(Fold, SearchFoldedRefusesWhatIsNotFolded) {
    const auto expect_refused = [&](const faiss::Index& index) {
        EXPECT_THROW_SAYING(search_dis(index, column.activation),
                            faiss::FaissException, "no folded index");
    };
    const Owned flat = base("Flat");
    expect_refused(*flat);
    expect_refused(*base("PCA24,Flat"));
    const Owned empty(faiss::index_factory(d, "Flat,RFlat"));
    empty->add(items, gallery.data.data());
    expect_refused(*empty);

    // The transforms are looked at, not only their classes.
    faiss::IndexFlatIP wider(d + 1);
    faiss::RemapDimensionsTransform remap(d, d + 1, false);
    faiss::CenteringTransform shift(d + 1);
    shift.mean.assign(d + 1, 0);
    shift.is_trained = true;
    wider.add(items, std::vector<float>(items * (d + 1), 0.5F).data());
    faiss::IndexPreTransform chained(&wider);
    chained.prepend_transform(&shift);
    chained.prepend_transform(&remap);
    expect_refused(chained);
    shift.mean.back() = -1;
    search_dis(chained, column.activation);
    remap.map[3] = 4;
    expect_refused(chained);

    const Owned index = folded("Flat");
    EXPECT_THROW_SAYING(search_dis(*index, ActivationSet(7, {})),
                        faiss::FaissException, "activation set");
    EXPECT_THROW_SAYING(
        search_folded(*index, column.activation, nq, queries.data.data(), 0,
                      distances.data(), labels.data()),
        faiss::FaissException, "k must");
}

// ---- vectors ----

TEST_F(Fold, ReconstructGivesTheGalleryBack) {
    std::vector<Owned> indexes = exact_indexes();
    indexes.push_back(folded("HNSW16"));
    dynamic_cast<faiss::IndexIVF&>(inner(indexes[1])).make_direct_map();
    for (const Owned& index : indexes) {
        SCOPED_TRACE(typeid(*index).name());
        std::vector<float> row(d);
        for (idx_t i = 0; i < items; i++) {
            index->reconstruct(i, row.data());
            ASSERT_TRUE(
                std::equal(row.begin(), row.end(), gallery.view().row(i)));
        }
    }
}

TEST_F(Fold, GalleriesOfManyBlocksFoldAlike) {
    struct Small : MemoryGallery {
        using MemoryGallery::MemoryGallery;
        void for_each_block(idx_t begin, idx_t end,
                            const BlockVisitor& visit) const override {
            for (idx_t i = begin; i < end; i += 7) {
                MemoryGallery::for_each_block(i, std::min(i + 7, end), visit);
            }
        }
    };
    std::vector<idx_t> heard;
    const Owned index =
        through_file(fold(table, Small(gallery.view()), "IVF16,Flat",
                          [&](idx_t done) { heard.push_back(done); }));
    EXPECT_EQ(heard.size(), 143U);
    EXPECT_EQ(heard.back(), items);
    probe_every_list(index);
    search(*index);
    expect_ranking(Method::is);
}

// A scalar quantizer cuts off what lies outside of its training vectors, of
// which there are fewer than items here.
TEST(FoldTraining, TheExtremeOffsetsAreKept) {
    constexpr idx_t many = 70001;
    const Matrix gallery = testdata::unit(many, 2, 1);
    std::vector<float> offsets(many, 0);
    offsets[12345] = 0.9F;
    offsets[54321] = -0.9F;
    NormTable table;
    table.d = 2;
    table.gallery_size = table.end = many;
    table.fingerprint = fingerprint({gallery.view()});
    BankColumn column;
    column.bank_size = 1;
    column.offsets = offsets;
    column.activation = ActivationSet(many, {});
    table.columns.push_back(column);
    const auto index = fold(table, MemoryGallery(gallery.view()), "SQ8");
    const auto& pre = dynamic_cast<const faiss::IndexPreTransform&>(*index);
    float row[3] = {};
    pre.index->reconstruct(12345, row);
    EXPECT_NEAR(row[2], -0.9F, 1.8 / 255);
    pre.index->reconstruct(54321, row);
    EXPECT_NEAR(row[2], 0.9F, 1.8 / 255);
}

// ---- refusals ----

class FoldRefusals : public Fold {
  protected:
    template <class Change>
    void expect_table_refused(Change change, const std::string& text) const {
        NormTable changed = table;
        change(changed);
        EXPECT_THROW_SAYING(fold(changed, in_memory, "Flat"), Error, text);
        EXPECT_THROW_SAYING(fold_refine(changed, in_memory, base("Flat"), 10),
                            Error, text);
    }

    void expect_factory_refused(const std::string& factory,
                                const std::string& text) const {
        EXPECT_THROW_SAYING(fold(table, in_memory, factory), Error, text);
    }

    void expect_base_refused(Owned index, const std::string& text) const {
        EXPECT_THROW_SAYING(fold_refine(table, in_memory, std::move(index), 10),
                            Error, text);
    }
};

TEST_F(FoldRefusals, CodesThatLoseTheOffset) {
    for (const char* factory : {"PQ5", "PQ8", "IVF16,PQ5", "PQ8x4fs",
                                "OPQ5,PQ5", "HNSW16_PQ5", "RQ4x8", "LSH"}) {
        expect_factory_refused(factory, std::string("the codes of '") +
                                            factory + "' lose the offset");
    }
}

TEST_F(FoldRefusals, FactoriesThatMakeMoreThanOneIndex) {
    for (const char* factory :
         {"IDMap,Flat", "IDMap2,Flat", "Flat,RFlat", "IVF16,Flat,Refine(Flat)",
          "PCA8,Flat", "L2norm,Flat", "NSG16", "IVF16,FlatDedup"}) {
        expect_factory_refused(
            factory, std::string("'") + factory + "' does not fold; give Flat");
    }
    expect_factory_refused("Flatt", "FAISS says: ");
}

TEST_F(FoldRefusals, Tables) {
    FitOptions l2;
    l2.metric = Metric::l2;
    EXPECT_THROW_SAYING(fold(fitted(l2), in_memory, "Flat"), Error,
                        "a table of metric l2 does not fold");
    FitOptions half;
    half.end = 500;
    EXPECT_THROW_SAYING(fold(fitted(half), in_memory, "Flat"), Error,
                        "qbnorm merge");
    expect_table_refused(
        [](NormTable& t) { t.columns[0].normalization.method = Method::none; },
        "method none does not fold");
    expect_table_refused(
        [](NormTable& t) { t.columns[0].bank = Bank::gallerybank; },
        "querybank");
    expect_table_refused(
        [](NormTable& t) {
            std::vector<float> offsets(t.size(), 0);
            offsets[5] = std::numeric_limits<float>::quiet_NaN();
            t.columns[0].offsets = offsets;
        },
        "NaN");
    expect_table_refused(
        [](NormTable& t) { t.fingerprint++; },
        "gallery is not the gallery that the table was fitted on");
    expect_table_refused([](NormTable& t) { t.d++; }, "d = 25");
}

TEST_F(FoldRefusals, AnotherGallery) {
    const Matrix shorter{gallery.data, items - 1, d};
    EXPECT_THROW_SAYING(fold(table, MemoryGallery(shorter.view()), "Flat"),
                        Error, "999 items");
    Matrix other = gallery;
    other.data[77] += 0.01F;
    for (const char* factory : {"Flat", "IVF16,Flat"}) {
        EXPECT_THROW_SAYING(fold(table, MemoryGallery(other.view()), factory),
                            Error, "fingerprints differ");
    }
}

TEST_F(FoldRefusals, GalleriesOutOfOrder) {
    const Owned ivf = base("IVF16,Flat");
    EXPECT_THROW_SAYING(fold(table, BaseGallery(*ivf), "Flat"), Error,
                        "order of its labels");
}

TEST_F(FoldRefusals, Bases) {
    expect_base_refused(bases::make("Flat", Metric::l2, gallery),
                        "not one of the inner product");
    EXPECT_THROW_SAYING(fold_refine(table, in_memory, base("Flat"), 0.9F),
                        Error, "k_factor is 0.9");
    expect_base_refused(base("Flat,RFlat"), "an IndexRefine already");
    expect_base_refused(fold(table, in_memory, "Flat"), "folded already");
    Matrix shorter{gallery.data, items - 1, d};
    expect_base_refused(bases::make("Flat", Metric::inner_product, shorter),
                        "999 vectors");
    expect_base_refused(bases::make("Flat", Metric::inner_product,
                                    testdata::unit(items, d + 1, 1)),
                        "d = 25");
    std::vector<idx_t> ids(items);
    std::iota(ids.begin(), ids.end(), 7);
    for (const char* factory : {"IDMap,Flat", "IDMap2,Flat", "IVF16,Flat",
                                "PCAR24,IDMap,Flat", "PCAR24,IVF16,Flat"}) {
        SCOPED_TRACE(factory);
        Owned own_labels(
            faiss::index_factory(d, factory, faiss::METRIC_INNER_PRODUCT));
        own_labels->train(items, gallery.data.data());
        own_labels->add_with_ids(items, gallery.data.data(), ids.data());
        expect_base_refused(std::move(own_labels), "in its place");
    }
}

}  // namespace
