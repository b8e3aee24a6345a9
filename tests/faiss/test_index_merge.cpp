// Oracle: the paper in float64 (oracle.h) over the union, under the labels that
// FAISS's merge_from gives (model.h).

#include <faiss/IndexFlat.h>
#include <faiss/IndexIDMap.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/IDSelector.h>
#include <gtest/gtest.h>

#include "faiss_qbnorm/cpu/engine_cpu.h"
#include "faiss_qbnorm/fit.h"
#include "tests/data.h"
#include "tests/faiss/model.h"

namespace {

using namespace faiss_qbnorm;
using model::empty_base;
using model::rows;
using model::Snapshot;

constexpr int d = 12;
const model::Data data{testdata::unit(400, d, 1), testdata::unit(12, d, 2),
                       testdata::unit(60, d, 3)};
const auto& [gallery, queries, bank] = data;

struct Side : model::Side {
    Side(const std::string& factory, Metric metric,
         const Normalization& normalization = {})
        : model::Side(data, factory, metric, normalization) {}

    void remove(idx_t begin, idx_t end) {
        std::set<idx_t> gone;
        for (const idx_t label : model.labels()) {
            if (label >= begin && label < end) gone.insert(label);
        }
        model::Side::remove(gone);
    }
    void merge(Side& other, idx_t add_id = 0) {
        model::Side::merge(other, add_id);
        expect();
        other.expect();
    }
};

class Merging : public testing::TestWithParam<Metric> {};

INSTANTIATE_TEST_SUITE_P(Metrics, Merging,
                         testing::Values(Metric::inner_product, Metric::l2));

TEST_P(Merging, IsAFitOfTheUnion) {
    for (const char* factory : {"Flat", "SQ8", "IVF8,Flat", "IVF8,PQ4x4np",
                                "PCA8,Flat", "RR12,IVF8,Flat"}) {
        for (const idx_t activation_k : {1, 3}) {
            SCOPED_TRACE(testing::Message() << factory << activation_k);
            const Normalization with{Method::dis, 20, activation_k};
            Side one(factory, GetParam(), with);
            Side two(factory, GetParam(), with);
            one.merge(two);  // nothing to nothing
            two.add(0, 100);
            one.merge(two);     // all to nothing
            one.merge(two);     // nothing to all
            two.add(100, 102);  // fewer than a bank list holds
            one.merge(two);
            // What both lost, and what comes afterwards.
            two.add(102, 202);
            one.remove(30, 70);
            two.remove(90, 100);
            two.remove(0, 20);
            one.merge(two);
            one.add(202, 220);
            one.expect();
            two.add(220, 250);
            two.expect();
            // So many that bank queries search again, in what is stored.
            if (std::string(factory) != "IVF8,PQ4x4np") one.remove(0, 110);
            one.expect();
            one.merge(two);
            two.merge(one);  // back again
        }
    }
}

TEST_P(Merging, GivesIvfItemsTheLabelsThatAddIdSays) {
    for (const char* factory : {"IVF8,Flat", "RR12,IVF8,PQ4x4np"}) {
        SCOPED_TRACE(factory);
        Side one(factory, GetParam());
        Side two(factory, GetParam());
        one.add(0, 100);
        two.add(100, 150);
        one.merge(two, 100);  // the next label
        two.add(150, 200);
        two.remove(0, 10);
        one.merge(two, 137 + 150);  // a gap
        EXPECT_EQ(one.index.table()->holes, 137 + 10);
        one.add(200, 210);
        one.expect();
        one.remove(290, 300);
        one.expect();
        // To an empty index.
        one.merge(two, 1000);
        Side three(factory, GetParam());
        three.merge(one, 500);
        three.add(210, 220);
        three.expect();
    }
}

TEST_P(Merging, FingerprintsFollow) {
    for (const char* factory : {"Flat", "IVF8,Flat"}) {
        Side one(factory, GetParam());
        Side two(factory, GetParam());
        const auto expect_known = [&](const Side& side) {
            IndexQBNorm fresh(side.base.get());
            fresh.set_querybank(bank.rows, bank.data.data());
            EXPECT_EQ(side.index.table()->fingerprint,
                      fresh.table()->fingerprint);
            fresh.set_table(*side.index.table());
        };
        one.add(0, 100);
        two.add(100, 150);
        two.remove(3, 9);
        one.merge(two);
        expect_known(one);
        expect_known(two);
        two.add(150, 180);
        two.remove(5, 9);
        one.remove(100, 120);
        two.merge(one);
        expect_known(one);
        expect_known(two);
        EXPECT_NE(two.index.table()->fingerprint, 0U);
    }
}

// Bank lists of other lengths.
TEST_P(Merging, TakesTablesOfOtherFits) {
    for (const bool longer_first : {false, true}) {
        Side one("Flat", GetParam());
        Side two("Flat", GetParam());
        one.add(0, 100);
        two.add(100, 150);
        Side& changed = longer_first ? one : two;
        FitOptions options;
        options.metric = GetParam();
        options.list_length = 30;
        const Matrix vectors =
            longer_first ? rows(gallery, 0, 100) : rows(gallery, 100, 150);
        changed.index.set_table(
            fit(*make_engine_cpu(), MemoryGallery(vectors.view()), bank.view(),
                options),
            bank.rows, bank.data.data());
        one.merge(two);
        one.remove(0, 20);
        one.expect();
        two.add(150, 160);
        one.merge(two);
    }
}

TEST(MergingIdMaps, KeepsTheUsersIds) {
    for (const char* factory : {"Flat", "IVF8,Flat"}) {
        SCOPED_TRACE(factory);
        const Metric metric = Metric::inner_product;
        Side one(factory, metric);
        Side two(factory, metric);
        faiss::IndexIDMap map(&one.index);
        faiss::IndexIDMap other(&two.index);
        std::vector<idx_t> ids;
        for (idx_t i = 0; i < 200; i++) ids.push_back(9000 - 3 * i);
        map.add_with_ids(100, gallery.data.data(), ids.data());
        other.add_with_ids(50, gallery.view().row(100), ids.data() + 100);
        map.merge_from(other, 1);
        for (idx_t i = 100; i < 150; i++) ids[i] += 1;
        map.add_with_ids(30, gallery.view().row(150), ids.data() + 150);
        EXPECT_EQ(map.ntotal, 180);
        EXPECT_EQ(other.ntotal, 0);
        one.model.add(rows(gallery, 0, 180));
        one.expect();
        two.expect();
        std::vector<idx_t> expected(12 * 5);
        std::vector<idx_t> labels(12 * 5);
        std::vector<float> distances(12 * 5);
        one.index.search(12, queries.data.data(), 5, distances.data(),
                         expected.data());
        map.search(12, queries.data.data(), 5, distances.data(), labels.data());
        for (size_t i = 0; i < labels.size(); i++) {
            EXPECT_EQ(labels[i], ids[expected[i]]);
        }
        other.add_with_ids(20, gallery.view().row(180), ids.data() + 180);
        two.model.add(rows(gallery, 180, 200));
        two.expect();
    }
}

class MergeErrors : public testing::Test {
  protected:
    static void expect_refused(Side& one, Side& two, const char* text,
                               idx_t add_id = 0) {
        const Snapshot before_one(one.index, queries);
        const Snapshot before_two(two.index, queries);
        EXPECT_REFUSED(one.index.merge_from(two.index, add_id), text);
        EXPECT_EQ(Snapshot(one.index, queries), before_one);
        EXPECT_EQ(Snapshot(two.index, queries), before_two);
    }
    static constexpr Metric ip = Metric::inner_product;
};

TEST_F(MergeErrors, OtherFitsAreRefused) {
    Side one("Flat", ip);
    one.add(0, 100);
    for (const Normalization& with :
         {Normalization{Method::dis, 21, 1}, Normalization{Method::dis, 20, 2},
          Normalization{Method::is, 20, 1}}) {
        Side two("Flat", ip, with);
        two.add(100, 150);
        expect_refused(one, two, "not fitted with the same querybank");
        expect_refused(two, one, "not fitted with the same querybank");
    }
    Side two("Flat", ip);
    two.add(100, 150);
    two.index.set_querybank(bank.rows, gallery.data.data());
    expect_refused(one, two, "not fitted with the same querybank");
    two.index.set_querybank(bank.rows - 1, bank.data.data());
    expect_refused(one, two, "not fitted with the same querybank");
    expect_refused(one, one, "joins only another fitted one");
    // The same items, seen twice.
    IndexQBNorm again(one.base.get());
    again.set_querybank(bank.rows, bank.data.data());
    EXPECT_REFUSED(again.merge_from(one.index), "joins only another fitted");
    EXPECT_EQ(one.base->ntotal, 100);
    // Of the same fit, but without the bank.
    two.index.set_querybank(bank.rows, bank.data.data());
    two.index.set_table(NormTable(*two.index.table()));
    expect_refused(one, two, "without its querybank");
    expect_refused(two, one, "without its querybank");
    // Other bases, dimensions, metrics.
    Side ivf("IVF8,Flat", ip);
    ivf.add(100, 150);
    expect_refused(one, ivf, "");
    expect_refused(ivf, one, "");
    Side l2("Flat", Metric::l2);
    l2.add(100, 150);
    expect_refused(one, l2, "not fitted with the same querybank");
}

TEST_F(MergeErrors, UnfittedAndPlainIndexesAreRefused) {
    Side one("Flat", ip);
    one.add(0, 100);
    const Snapshot before(one.index, queries);
    faiss::IndexFlatIP flat(d);
    flat.add(50, gallery.data.data());
    IndexQBNorm unfitted(&flat);
    EXPECT_REFUSED(one.index.merge_from(flat), "wrap the other index");
    EXPECT_REFUSED(one.index.merge_from(unfitted), "wrap the other index");
    EXPECT_REFUSED(unfitted.merge_from(one.index), "wrap the other index");
    EXPECT_REFUSED(one.index.check_compatible_for_merge(unfitted),
                   "wrap the other index");
    EXPECT_EQ(flat.ntotal, 50);
    EXPECT_EQ(Snapshot(one.index, queries), before);
    // Two unfitted ones join as their bases.
    faiss::IndexFlatIP more(d);
    more.add(10, gallery.data.data());
    IndexQBNorm also(&more);
    unfitted.merge_from(also);
    EXPECT_EQ(unfitted.ntotal, 60);
    EXPECT_EQ(also.ntotal, 0);
}

TEST_F(MergeErrors, LabelsMayNotCollide) {
    Side flat("Flat", ip);
    Side more("Flat", ip);
    flat.add(0, 100);
    more.add(100, 150);
    for (const idx_t add_id : {1, 100, 1000, -1}) {
        expect_refused(flat, more, "add_id must be 0", add_id);
    }
    Side ivf("IVF8,Flat", ip);
    Side other("IVF8,Flat", ip);
    ivf.add(0, 100);
    other.add(100, 150);
    for (const idx_t add_id : {1, 99, -1, -1000}) {
        expect_refused(ivf, other, "but this index has labels up to 99",
                       add_id);
    }
    // Labels that were, too.
    ivf.remove(90, 100);
    expect_refused(ivf, other, "but this index has labels up to 99", 95);
    // Holes are paid for.
    for (const idx_t add_id :
         {idx_t{1} << 21, idx_t{1} << 40, std::numeric_limits<idx_t>::max()}) {
        expect_refused(ivf, other, "add_id", add_id);
    }
    ivf.merge(other);
}

TEST_F(MergeErrors, BasesThatDoNotMergeLeaveTheTables) {
    const auto expect_both_stay = [](faiss::Index& base, faiss::Index& other,
                                     const char* text) {
        IndexQBNorm one(&base);
        IndexQBNorm two(&other);
        for (IndexQBNorm* index : {&one, &two}) {
            index->set_querybank(bank.rows, bank.data.data());
            index->add(100, gallery.data.data());
        }
        const Snapshot before_one(one, queries);
        const Snapshot before_two(two, queries);
        EXPECT_REFUSED(one.merge_from(two), text);
        EXPECT_EQ(Snapshot(one, queries), before_one);
        EXPECT_EQ(Snapshot(two, queries), before_two);
    };
    for (const char* factory : {"HNSW8,Flat", "IVF4,PQ4x4fs"}) {
        SCOPED_TRACE(factory);
        const auto base = empty_base(factory, ip, gallery);
        const auto other = empty_base(factory, ip, gallery);
        expect_both_stay(*base, *other, "merge");
    }
    Side one("IVF8,Flat", ip);
    Side two("IVF8,Flat", ip);
    one.add(0, 100);
    two.add(100, 150);
    dynamic_cast<faiss::IndexIVF&>(*two.base).make_direct_map();
    expect_refused(one, two, "direct_map");
    struct Failing : faiss::IndexFlat {
        using IndexFlat::IndexFlat;
        void merge_from(Index&, idx_t) override { FAISS_THROW_MSG("no room"); }
    };
    Failing base(d, faiss::METRIC_L2);
    Failing more(d, faiss::METRIC_L2);
    expect_both_stay(base, more, "no room");
}

}  // namespace
