// Oracle: the documented behaviour of IndexQBNorm.h: a FaissException with a
// sentence, and an index that is as it was.

#include <faiss/IndexFlat.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVF.h>
#include <faiss/IndexLSH.h>
#include <faiss/IndexPQ.h>
#include <faiss/IndexReplicas.h>
#include <faiss/IndexShards.h>
#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/IDSelector.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "faiss_qbnorm/cpu/engine_cpu.h"
#include "faiss_qbnorm/fit.h"
#include "tests/data.h"
#include "tests/faiss/bases.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

#define EXPECT_REFUSED(statement, text) \
    EXPECT_THROW_SAYING(statement, faiss::FaissException, text)

class IndexErrors : public testing::Test {
  protected:
    void SetUp() override {
        index.set_querybank(bank.rows, bank.data.data());
        before = answers();
    }
    // After every refused call the index answers as before.
    void TearDown() override {
        EXPECT_EQ(index.ntotal, 100);
        EXPECT_EQ(base->ntotal, 100);
        EXPECT_EQ(answers(), before);
    }

    std::vector<idx_t> answers() const {
        std::vector<float> distances(4 * 10);
        std::vector<idx_t> labels(4 * 10);
        index.search(4, queries.data.data(), 10, distances.data(),
                     labels.data());
        return labels;
    }

    const Matrix gallery = testdata::unit(100, 8, 1);
    const Matrix queries = testdata::unit(4, 8, 2);
    const Matrix bank = testdata::unit(30, 8, 3);
    const std::unique_ptr<faiss::Index> base =
        bases::make("Flat", Metric::inner_product, gallery);
    IndexQBNorm index{base.get()};
    std::vector<idx_t> before;
    float distance = 0;
    idx_t label = 0;
};

TEST_F(IndexErrors, SearchChecksItsInput) {
    EXPECT_REFUSED(index.search(1, queries.data.data(), 0, &distance, &label),
                   "k is 0");
    EXPECT_REFUSED(index.search(1, queries.data.data(), -3, &distance, &label),
                   "k is -3");
    Matrix broken = queries;
    broken.data[8 * 2 + 5] = NAN;
    std::vector<float> distances(4);
    std::vector<idx_t> labels(4);
    EXPECT_REFUSED(
        index.search(4, broken.data.data(), 1, distances.data(), labels.data()),
        "queries: row 2");
    broken.data[8 * 2 + 5] = INFINITY;
    EXPECT_REFUSED(
        index.search(4, broken.data.data(), 1, distances.data(), labels.data()),
        "queries: row 2");
}

TEST_F(IndexErrors, SearchNeedsItsNormalizationFitted) {
    const auto search = [&] {
        index.search(1, queries.data.data(), 1, &distance, &label);
    };
    index.normalization.beta = 21;
    EXPECT_REFUSED(search(), "set_querybank again");
    index.normalization = {Method::dis, 20, 2};
    EXPECT_REFUSED(search(), "activation_k 2");
    index.normalization = {Method::dis, 20, 1};
    IndexQBNorm unfitted(base.get());
    EXPECT_REFUSED(
        unfitted.search(1, queries.data.data(), 1, &distance, &label),
        "no fitted querybank");
    base->add(1, queries.data.data());
    EXPECT_REFUSED(search(), "base_index has 101 vectors");
    const faiss::IDSelectorRange last(100, 101);
    base->remove_ids(last);
}

TEST_F(IndexErrors, SetQuerybankChecksItsInput) {
    EXPECT_REFUSED(index.set_querybank(0, bank.data.data()), "is empty");
    Matrix broken = bank;
    broken.data[8 * 29] = NAN;
    EXPECT_REFUSED(index.set_querybank(30, broken.data.data()),
                   "querybank: row 29");
    broken = gallery;
    broken.data[8 * 99 + 7] = INFINITY;
    EXPECT_REFUSED(
        index.set_querybank(30, bank.data.data(), broken.data.data()),
        "gallery: row 99");
    for (const float beta : {0.0F, -1.0F, 10001.0F, NAN}) {
        index.normalization.beta = beta;
        EXPECT_REFUSED(index.set_querybank(30, bank.data.data()), "beta");
    }
    index.normalization = {Method::dis, 20, 0};
    EXPECT_REFUSED(index.set_querybank(30, bank.data.data()), "activation_k");
    index.normalization = {};
}

TEST_F(IndexErrors, AddChecksItsInput) {
    Matrix broken = queries;
    broken.data[8 * 1] = NAN;
    EXPECT_REFUSED(index.add(4, broken.data.data()), "row 101");
}

TEST_F(IndexErrors, AFailingBaseLeavesTheTable) {
    struct Failing : faiss::IndexFlat {
        using IndexFlat::IndexFlat;
        void add(idx_t n, const float* x) override {
            FAISS_THROW_IF_NOT_MSG(ntotal == 0, "no room");
            IndexFlat::add(n, x);
        }
    };
    Failing failing(8, faiss::METRIC_INNER_PRODUCT);
    failing.add(100, gallery.data.data());
    IndexQBNorm wrapped(&failing);
    wrapped.set_querybank(30, bank.data.data());
    EXPECT_REFUSED(wrapped.add(4, queries.data.data()), "no room");
    EXPECT_EQ(wrapped.ntotal, 100);
    EXPECT_EQ(wrapped.table()->gallery_size, 100);
    wrapped.search(1, queries.data.data(), 1, &distance, &label);
    EXPECT_EQ(label, before[0]);
}

TEST_F(IndexErrors, RefusesWhatHasNoMeaning) {
    EXPECT_REFUSED(delete index.get_distance_computer(),
                   "normalization.method = is");
    const idx_t id = 100;
    EXPECT_REFUSED(index.add_with_ids(1, queries.data.data(), &id),
                   "idmap->index = new IndexQBNorm");
    const auto other = bases::make("Flat", Metric::inner_product, gallery);
    EXPECT_REFUSED(index.merge_from(*other), "wrap the other index");
    EXPECT_REFUSED(index.check_compatible_for_merge(*other),
                   "wrap the other index");
    EXPECT_REFUSED(index.merge_from(index), "wrap the other index");
}

TEST_F(IndexErrors, SetTableChecksTheTable) {
    const auto engine = make_engine_cpu();
    const auto table = [&](const Matrix& vectors, const FitOptions& options) {
        return fit(*engine, MemoryGallery(vectors.view()), bank.view(),
                   options);
    };
    EXPECT_REFUSED(index.set_table(table(testdata::unit(100, 8, 9), {})),
                   "fingerprints differ");
    Matrix swapped = gallery;  // the same rows in another order
    std::swap_ranges(swapped.data.begin(), swapped.data.begin() + 8,
                     swapped.data.begin() + 8);
    EXPECT_REFUSED(index.set_table(table(swapped, {})), "fingerprints differ");
    EXPECT_REFUSED(index.set_table(table(testdata::unit(99, 8, 9), {})),
                   "99 items");
    FitOptions options;
    options.metric = Metric::l2;
    EXPECT_REFUSED(index.set_table(table(gallery, options)), "metric l2");
    options = {};
    options.end = 50;
    EXPECT_REFUSED(index.set_table(table(gallery, options)), "rows 0:50");
    index.set_table(table(gallery, {}));
    EXPECT_REFUSED(index.add(1, queries.data.data()), "without its querybank");
}

TEST_F(IndexErrors, SetTableRefusesTransformsThatChangeScores) {
    FitOptions options;
    const NormTable table =
        fit(*make_engine_cpu(), MemoryGallery(gallery.view()), bank.view(),
            options);
    for (const char* factory : {"L2norm,SQ8", "PCA4,Flat", "PCA8,SQ8"}) {
        const auto changing =
            bases::make(factory, Metric::inner_product, gallery);
        IndexQBNorm wrapped(changing.get());
        EXPECT_REFUSED(wrapped.set_table(table), "transforms change");
    }
}

TEST_F(IndexErrors, SetTableRefusesDamagedTables) {
    NormTable table = *index.table();
    const auto& good = index.table()->columns[0].offsets;
    std::vector<float> offsets(good.begin(), good.begin() + 10);
    table.columns[0].offsets = offsets;
    EXPECT_REFUSED(index.set_table(table), "arrays are not of its size");
    offsets.assign(100, NAN);
    table.columns[0].offsets = offsets;
    EXPECT_REFUSED(index.set_table(table), "NaN or Inf");
}

TEST_F(IndexErrors, AnUntrainedBaseIsNotSearched) {
    for (const char* factory : {"IVF2,SQ8", "IVF2,PQ2x4", "IVF2,Flat"}) {
        const std::unique_ptr<faiss::Index> untrained(
            faiss::index_factory(8, factory, faiss::METRIC_INNER_PRODUCT));
        IndexQBNorm wrapped(untrained.get());
        wrapped.set_querybank(30, bank.data.data());
        EXPECT_REFUSED(
            wrapped.search(1, queries.data.data(), 1, &distance, &label),
            "no fitted querybank");
        EXPECT_THROW(wrapped.add(1, queries.data.data()),
                     faiss::FaissException);
    }
}

TEST_F(IndexErrors, ReconstructingNeedsADirectMap) {
    const auto ivf = bases::make("IVF2,Flat", Metric::inner_product, gallery);
    IndexQBNorm wrapped(ivf.get());
    wrapped.set_querybank(30, bank.data.data());
    std::vector<float> vector(8);
    const auto search = [&] {
        wrapped.search_and_reconstruct(1, queries.data.data(), 1, &distance,
                                       &label, vector.data());
    };
    EXPECT_REFUSED(search(), "make_direct_map");
    dynamic_cast<faiss::IndexIVF&>(*ivf).make_direct_map();
    search();
    EXPECT_TRUE(
        std::equal(vector.begin(), vector.end(), gallery.view().row(label)));
}

TEST_F(IndexErrors, IvfWantsItsOwnParameters) {
    const auto ivf = bases::make("IVF2,Flat", Metric::inner_product, gallery);
    IndexQBNorm wrapped(ivf.get());
    wrapped.set_querybank(30, bank.data.data());
    const faiss::SearchParameters plain;
    EXPECT_REFUSED(
        wrapped.search(1, queries.data.data(), 1, &distance, &label, &plain),
        "SearchParametersIVF");
    dynamic_cast<faiss::IndexIVF&>(*ivf).nprobe = 0;
    EXPECT_REFUSED(wrapped.search(1, queries.data.data(), 1, &distance, &label),
                   "nprobe");
}

TEST_F(IndexErrors, CandidatesNeedAKFactor) {
    const auto hnsw = bases::make("HNSW8,Flat", Metric::inner_product, gallery);
    IndexQBNorm wrapped(hnsw.get());
    wrapped.set_querybank(30, bank.data.data());
    for (const float k_factor : {0.5F, -1.0F, NAN, INFINITY}) {
        wrapped.k_factor = k_factor;
        EXPECT_REFUSED(
            wrapped.search(1, queries.data.data(), 1, &distance, &label),
            "k_factor");
    }
}

TEST(IndexConstruction, RefusesWhatItCannotNormalise) {
    EXPECT_REFUSED(IndexQBNorm(nullptr), "null pointer");
    faiss::IndexFlat manhattan(8, faiss::METRIC_L1);
    EXPECT_REFUSED(IndexQBNorm{&manhattan}, "neither inner product nor L2");
    faiss::IndexLSH hashes(8, 16);
    EXPECT_REFUSED(IndexQBNorm{&hashes}, "Hamming");
    faiss::IndexFlatIP flat(8);
    IndexQBNorm once(&flat);
    EXPECT_REFUSED(IndexQBNorm{&once}, "IndexQBNorm already");
    setenv("QBNORM_ENGINE", "quantum", 1);
    EXPECT_REFUSED(IndexQBNorm{&flat}, "unknown engine 'quantum'");
    unsetenv("QBNORM_ENGINE");
}

TEST(IndexLabels, MustBeSequential) {
    const Matrix gallery = testdata::unit(100, 8, 1);
    const Matrix bank = testdata::unit(30, 8, 3);
    faiss::IndexFlatIP flat(8);
    faiss::IndexIDMap map(&flat);
    std::vector<idx_t> ids(100);
    for (idx_t i = 0; i < 100; i++) ids[i] = 5 * i;
    map.add_with_ids(100, gallery.data.data(), ids.data());
    IndexQBNorm around(&map);
    EXPECT_REFUSED(around.set_querybank(30, bank.data.data()),
                   "idmap->index = new IndexQBNorm");

    const auto ivf = bases::make("IVF2,Flat", Metric::inner_product, gallery);
    IndexQBNorm own_ids(ivf.get());
    const auto refuse_id = [&](idx_t odd_one, const char* sentence) {
        ivf->reset();
        std::vector<idx_t> some = ids;
        some[99] = odd_one;
        ivf->add_with_ids(100, gallery.data.data(), some.data());
        EXPECT_REFUSED(own_ids.set_querybank(30, bank.data.data()), sentence);
    };
    refuse_id(idx_t{1} << 40, "labels must be 0 to ntotal - 1");
    refuse_id(-7, "labels must be 0 to ntotal - 1");
    refuse_id(0, "more than once");

    // Inside the map it works, and the map's ids come out.
    IndexQBNorm inside(&flat);
    inside.set_querybank(30, bank.data.data());
    map.index = &inside;
    float distance = 0;
    idx_t label = 0;
    map.search(1, bank.data.data(), 1, &distance, &label);
    EXPECT_EQ(label % 5, 0);
}

TEST(IndexDecoding, AsksForTheOriginals) {
    const Matrix gallery = testdata::unit(100, 8, 1);
    const Matrix bank = testdata::unit(30, 8, 3);
    // Its reconstruction would need what the base does not keep.
    struct Opaque : faiss::IndexFlat {
        using IndexFlat::IndexFlat;
        void reconstruct_n(idx_t, idx_t, float*) const override {
            FAISS_THROW_MSG("the vectors are not kept");
        }
    };
    Opaque opaque(8, faiss::METRIC_INNER_PRODUCT);
    opaque.add(100, gallery.data.data());
    IndexQBNorm index(&opaque);
    EXPECT_REFUSED(index.set_querybank(30, bank.data.data()),
                   "pass the originals");
    index.set_querybank(30, bank.data.data(), gallery.data.data());
    float distance = 0;
    idx_t label = -1;
    index.search(1, bank.data.data(), 1, &distance, &label);
    EXPECT_GE(label, 0);
}

TEST(IndexConstruction, RefusesHammingDistancesWhereverTheyComeFrom) {
    const Matrix gallery = testdata::unit(200, 8, 1);
    const Matrix bank = testdata::unit(30, 8, 3);
    const auto hashes = bases::make("LSH", Metric::l2, gallery);
    faiss::IndexShards shards(8);
    shards.add_shard(hashes.get());
    EXPECT_REFUSED(IndexQBNorm{&shards}, "Hamming");
    faiss::IndexReplicas replicas(8);
    replicas.addIndex(hashes.get());
    EXPECT_REFUSED(IndexQBNorm{&replicas}, "Hamming");

    const auto pq = bases::make("PQ4x4", Metric::l2, gallery);
    IndexQBNorm index(pq.get());
    index.set_querybank(bank.rows, bank.data.data(), gallery.data.data());
    faiss::SearchParametersPQ params;
    params.search_type = faiss::IndexPQ::ST_HE;
    float distance = 0;
    idx_t label = 0;
    EXPECT_REFUSED(
        index.search(1, bank.data.data(), 1, &distance, &label, &params),
        "Hamming");
    params.search_type = faiss::IndexPQ::ST_PQ;
    index.search(1, bank.data.data(), 1, &distance, &label, &params);
    EXPECT_GE(label, 0);
}

TEST_F(IndexErrors, CountsAndPointersAreChecked) {
    QBNormSearchStats stats;
    SearchParametersQBNorm params;
    params.stats = &stats;
    EXPECT_REFUSED(
        index.search(-1, queries.data.data(), 1, &distance, &label, &params),
        "n is -1");
    EXPECT_REFUSED(index.range_search(1, queries.data.data(), 1, nullptr),
                   "null pointer");
}

TEST_F(IndexErrors, WithoutABankCallsThatRankSaySo) {
    IndexQBNorm unfitted(base.get());
    EXPECT_REFUSED(delete unfitted.get_distance_computer(),
                   "no fitted querybank");
    faiss::RangeSearchResult result(1);
    EXPECT_REFUSED(unfitted.range_search(1, queries.data.data(), 1, &result),
                   "no fitted querybank");
    EXPECT_REFUSED(unfitted.assign(1, queries.data.data(), &label),
                   "no fitted querybank");
}

TEST_F(IndexErrors, RemovingRefusesListsOfOtherLabels) {
    const NormTable right = *index.table();
    NormTable table = right;
    for (const idx_t wrong : {idx_t{1} << 40, idx_t{100}, idx_t{-2}}) {
        const auto& good = right.columns[0].lists.labels;
        std::vector<idx_t> labels(good.begin(), good.end());
        labels[7] = wrong;
        table.columns[0].lists.labels = labels;
        index.set_table(table);
        const faiss::IDSelectorRange some(3, 9);
        EXPECT_REFUSED(index.remove_ids(some), "which is not in the table");
    }
}

TEST_F(IndexErrors, ReconstructingAfterRemovalsNeedsAHashtable) {
    const auto made = bases::make("IVF2,Flat", Metric::inner_product, gallery);
    auto& ivf = dynamic_cast<faiss::IndexIVF&>(*made);
    IndexQBNorm wrapped(&ivf);
    wrapped.set_querybank(30, bank.data.data());
    wrapped.remove_ids(faiss::IDSelectorRange(3, 9));
    std::vector<float> vector(8);
    const auto search = [&] {
        wrapped.search_and_reconstruct(1, queries.data.data(), 1, &distance,
                                       &label, vector.data());
    };
    EXPECT_REFUSED(search(), "set_direct_map_type(DirectMap::Hashtable)");
    ivf.set_direct_map_type(faiss::DirectMap::Hashtable);
    search();
    EXPECT_TRUE(
        std::equal(vector.begin(), vector.end(), gallery.view().row(label)));
}

}  // namespace
