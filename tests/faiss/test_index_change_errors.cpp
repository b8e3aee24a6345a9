// Oracle: what IndexQBNorm.h and README.md say of removals: which are refused
// in words, with an index that is as it was, and which ids an ID map's user
// sees (the float64 oracle over the items under these ids).

#include <faiss/IndexFlat.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexRefine.h>
#include <faiss/IndexShards.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/IDSelector.h>
#include <gtest/gtest.h>

#include "tests/data.h"
#include "tests/faiss/model.h"

namespace {

using namespace faiss_qbnorm;
using model::empty_base;
using model::Model;
using model::rows;
using model::Snapshot;

constexpr int d = 12;
const Matrix gallery = testdata::unit(300, d, 1);
const Matrix queries = testdata::unit(12, d, 2);
const Matrix bank = testdata::unit(60, d, 3);

void expect_removal_refused(IndexQBNorm& index, const faiss::IDSelector& sel,
                            const char* text) {
    const Snapshot before(index, queries);
    EXPECT_REFUSED(index.remove_ids(sel), text);
    EXPECT_EQ(Snapshot(index, queries), before);
}

// Ids of the user's own, and the vectors under them.
struct User {
    std::vector<idx_t> ids;
    Matrix vectors{{}, 0, d};

    void add(faiss::IndexIDMap& map, idx_t begin, idx_t end) {
        std::vector<idx_t> some;
        for (idx_t i = begin; i < end; i++) some.push_back(10000 - 7 * i);
        const Matrix more = rows(gallery, begin, end);
        map.add_with_ids(more.rows, more.data.data(), some.data());
        ids.insert(ids.end(), some.begin(), some.end());
        vectors.data.insert(vectors.data.end(), more.data.begin(),
                            more.data.end());
        vectors.rows += more.rows;
    }

    void remove(faiss::IndexIDMap& map, const std::vector<idx_t>& gone) {
        const faiss::IDSelectorBatch sel(gone.size(), gone.data());
        EXPECT_EQ(map.remove_ids(sel), gone.size());
        User left;
        for (idx_t i = 0; i < vectors.rows; i++) {
            if (std::count(gone.begin(), gone.end(), ids[i]) > 0) continue;
            left.ids.push_back(ids[i]);
            left.vectors.data.insert(left.vectors.data.end(),
                                     vectors.view().row(i),
                                     vectors.view().row(i + 1));
            left.vectors.rows++;
        }
        *this = left;
    }

    void expect_in(const faiss::IndexIDMap& map) const {
        ASSERT_EQ(map.ntotal, vectors.rows);
        constexpr idx_t k = 10;
        std::vector<float> distances(queries.rows * k);
        std::vector<idx_t> labels(queries.rows * k);
        map.search(queries.rows, queries.data.data(), k, distances.data(),
                   labels.data());
        const oracle::Reference expected(Metric::inner_product, vectors.view(),
                                         queries.view(), bank.view(), 20, 1);
        for (idx_t& label : labels) {
            label = std::find(ids.begin(), ids.end(), label) - ids.begin();
        }
        for (idx_t i = 0; i < queries.rows; i++) {
            oracle::expect_ranking(expected.scores(Method::dis, i), k,
                                   &distances[i * k], &labels[i * k], 1e-5);
        }
    }
};

template <class Map>
void keeps_the_users_ids() {
    faiss::IndexFlatIP flat(d);
    IndexQBNorm index(&flat);
    index.set_querybank(bank.rows, bank.data.data());
    Map map(&index);
    User user;
    user.add(map, 0, 150);
    user.expect_in(map);
    std::vector<idx_t> gone;
    for (idx_t i = 0; i < 150; i += 4) gone.push_back(user.ids[i]);
    user.remove(map, gone);
    user.expect_in(map);
    user.add(map, 150, 200);
    user.expect_in(map);
    user.remove(map, {user.ids.back(), user.ids.front()});
    user.expect_in(map);
    if constexpr (std::is_same_v<Map, faiss::IndexIDMap2>) {
        map.check_consistency();
        std::vector<float> vector(d);
        map.reconstruct(user.ids[70], vector.data());
        EXPECT_TRUE(std::equal(vector.begin(), vector.end(),
                               user.vectors.view().row(70)));
    }
}

TEST(ChangeInsideAnIdMap, KeepsTheUsersIds) {
    keeps_the_users_ids<faiss::IndexIDMap>();
    keeps_the_users_ids<faiss::IndexIDMap2>();
}

TEST(ChangeInsideAnIdMap, IsRefusedOverIvf) {
    for (const char* factory : {"IVF8,Flat", "RR12,IVF8,Flat"}) {
        const auto base = empty_base(factory, Metric::inner_product, gallery);
        IndexQBNorm index(base.get());
        index.set_querybank(bank.rows, bank.data.data());
        faiss::IndexIDMap map(&index);
        faiss::IndexIDMap2 map2(&index);
        User user;
        user.add(map, 0, 200);
        const auto ids = map.id_map;
        const Snapshot before(index, queries);
        EXPECT_REFUSED(map.remove_ids(faiss::IDSelectorRange(9000, 9500)),
                       "ID maps lose their ids over an IVF index");
        EXPECT_EQ(Snapshot(index, queries), before);
        EXPECT_EQ(map.id_map, ids);
        user.expect_in(map);
        map2.id_map = map.id_map;
        map2.construct_rev_map();
        EXPECT_REFUSED(map2.remove_ids(faiss::IDSelectorRange(9000, 9500)),
                       "ID maps lose their ids over an IVF index");
        EXPECT_EQ(Snapshot(index, queries), before);
    }
}

TEST(ChangeErrors, OtherBasesAreRefused) {
    const faiss::IDSelectorRange some(10, 20);
    for (const char* factory :
         {"HNSW8,Flat", "RR12,HNSW8,Flat", "Flat,RFlat"}) {
        SCOPED_TRACE(factory);
        const auto base = empty_base(factory, Metric::inner_product, gallery);
        base->add(200, gallery.data.data());
        IndexQBNorm index(base.get());
        index.set_querybank(bank.rows, bank.data.data(), gallery.data.data());
        expect_removal_refused(index, some,
                               "cannot be removed from a base index of this");
    }
    faiss::IndexFlatIP one(d);
    faiss::IndexFlatIP two(d);
    faiss::IndexShards shards(d);
    shards.add_shard(&one);
    shards.add_shard(&two);
    shards.add(200, gallery.data.data());
    IndexQBNorm index(&shards);
    index.set_querybank(bank.rows, bank.data.data(), gallery.data.data());
    expect_removal_refused(index, some,
                           "cannot be removed from a base index of this");
}

// FAISS 1.7.3 throws there among its threads, which ends the process.
TEST(ChangeErrors, FastScanListsAreRefusedWhereFaissCannot) {
    if (QBNORM_FAISS_VERSION >= 10900) GTEST_SKIP() << "this FAISS can";
    for (const char* factory : {"IVF4,PQ4x4fs", "RR12,IVF4,PQ4x4fs"}) {
        const auto base = empty_base(factory, Metric::inner_product, gallery);
        base->add(200, gallery.data.data());
        IndexQBNorm index(base.get());
        index.set_querybank(bank.rows, bank.data.data(), gallery.data.data());
        expect_removal_refused(index, faiss::IDSelectorRange(10, 20),
                               "cannot be removed from a base index of this");
    }
}

TEST(ChangeErrors, AFailingBaseLeavesTheTable) {
    struct Failing : faiss::IndexFlat {
        using IndexFlat::IndexFlat;
        size_t remove_ids(const faiss::IDSelector&) override {
            FAISS_THROW_MSG("read only");
        }
    };
    Failing base(d, faiss::METRIC_L2);
    base.add(200, gallery.data.data());
    IndexQBNorm index(&base);
    index.set_querybank(bank.rows, bank.data.data());
    expect_removal_refused(index, faiss::IDSelectorRange(10, 20), "read only");
}

TEST(ChangeErrors, ABaseThatWasChangedFromOutsideIsSeen) {
    for (const char* factory : {"Flat", "IVF8,Flat"}) {
        const auto base = empty_base(factory, Metric::inner_product, gallery);
        IndexQBNorm index(base.get());
        index.set_querybank(bank.rows, bank.data.data());
        index.add(200, gallery.data.data());
        const faiss::IDSelectorRange some(10, 20);
        base->remove_ids(some);
        EXPECT_REFUSED(index.remove_ids(some), "changed from outside");
        EXPECT_REFUSED(index.add(1, queries.data.data()),
                       "changed from outside");
        EXPECT_EQ(base->ntotal, 190);
        EXPECT_EQ(index.table()->items(), 200);
    }
}

TEST(ChangeErrors, AddNeedsTheBankAfterRemovalsToo) {
    faiss::IndexFlatIP flat(d);
    flat.add(200, gallery.data.data());
    IndexQBNorm fitting(&flat);
    fitting.set_querybank(bank.rows, bank.data.data());
    IndexQBNorm index(&flat);
    index.set_table(*fitting.table());
    EXPECT_EQ(index.remove_ids(faiss::IDSelectorRange(3, 4)), 1U);
    const Snapshot before(index, queries);
    EXPECT_REFUSED(index.add(1, queries.data.data()), "without its querybank");
    EXPECT_EQ(Snapshot(index, queries), before);
    // Another bank is not the one.
    EXPECT_REFUSED(index.set_table(*index.table(), 59, bank.data.data()),
                   "is not the one that the table was fitted with");
    EXPECT_REFUSED(index.set_table(*index.table(), 60, gallery.data.data()),
                   "is not the one that the table was fitted with");
    EXPECT_EQ(Snapshot(index, queries), before);
}

TEST(ChangeErrors, AnUnfittedIndexRemovesAsItsBase) {
    faiss::IndexFlatIP flat(d);
    flat.add(200, gallery.data.data());
    IndexQBNorm index(&flat);
    EXPECT_EQ(index.remove_ids(faiss::IDSelectorRange(0, 5)), 5U);
    EXPECT_EQ(index.ntotal, 195);
}

// Flat codes have no holes: labels would mean other items than the table's.
TEST(ChangeErrors, ATableWithHolesSuitsInvertedListsOnly) {
    const auto ivf = empty_base("IVF8,Flat", Metric::l2, gallery);
    IndexQBNorm index(ivf.get());
    index.set_querybank(bank.rows, bank.data.data());
    index.add(200, gallery.data.data());
    for (const auto& [begin, end] : {std::pair{190, 200}, {50, 60}}) {
        index.remove_ids(faiss::IDSelectorRange(begin, end));
        for (const char* factory : {"Flat", "SQ8", "HNSW8,Flat"}) {
            const auto base = empty_base(factory, Metric::l2, gallery);
            base->add(index.ntotal, gallery.data.data());
            IndexQBNorm taking(base.get());
            EXPECT_REFUSED(taking.set_table(*index.table()), "has holes");
            EXPECT_EQ(taking.table(), nullptr);
        }
        IndexQBNorm taking(ivf.get());
        taking.set_table(*index.table());
    }
}

TEST(ChangeDirectMap, AHashtableFollows) {
    const auto base = empty_base("IVF8,Flat", Metric::l2, gallery);
    auto& ivf = dynamic_cast<faiss::IndexIVF&>(*base);
    ivf.set_direct_map_type(faiss::DirectMap::Hashtable);
    IndexQBNorm index(base.get());
    index.set_querybank(bank.rows, bank.data.data());
    Model model(*base, bank, index.normalization);
    const auto add = [&](idx_t begin, idx_t end) {
        index.add(end - begin, gallery.view().row(begin));
        model.add(rows(gallery, begin, end));
    };
    const auto remove = [&](const std::vector<idx_t>& labels) {
        const faiss::IDSelectorArray sel(labels.size(), labels.data());
        EXPECT_EQ(index.remove_ids(sel), labels.size());
        model.remove({labels.begin(), labels.end()});
        model.expect_in(index, queries, 10);
    };
    add(0, 100);
    add(100, 200);
    remove({0, 17, 99, 100, 150, 199});
    add(200, 230);
    remove({200, 229, 18});
    // As FAISS reads an item back.
    std::vector<float> vector(d);
    for (const auto& [label, item] : model.items) {
        index.reconstruct(label, vector.data());
        ASSERT_EQ(vector, item.stored);
    }
    // FAISS wants a list of labels here.
    expect_removal_refused(index, faiss::IDSelectorRange(10, 20),
                           "IDSelectorArray");
    // Labels that nobody has, or twice.
    const std::vector<idx_t> odd{5, 5, 0, 100000};
    EXPECT_EQ(index.remove_ids(faiss::IDSelectorArray(4, odd.data())), 1U);
    model.remove({5});
    model.expect_in(index, queries, 10);
}

TEST(ChangeDirectMap, AnArrayRefuses) {
    const auto base = empty_base("IVF8,Flat", Metric::l2, gallery);
    base->add(200, gallery.data.data());
    dynamic_cast<faiss::IndexIVF&>(*base).make_direct_map();
    IndexQBNorm index(base.get());
    index.set_querybank(bank.rows, bank.data.data());
    expect_removal_refused(index, faiss::IDSelectorRange(10, 20),
                           "remove not supported");
}

}  // namespace
