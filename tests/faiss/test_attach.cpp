// Oracle: an index of the same vectors under labels 0 .. ntotal - 1, wrapped
// and fitted by hand (held to the paper in test_index_search.cpp).

#include "faiss_qbnorm/attach.h"

#include <faiss/IndexFlat.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexIVFPQR.h>
#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/IDSelector.h>
#include <faiss/invlists/OnDiskInvertedLists.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>

#include "faiss_qbnorm/faiss/unwrap.h"
#include "faiss_qbnorm/index_io.h"
#include "tests/faiss/wrapped.h"

namespace {

using namespace wrapped_data;

constexpr Normalization normalization{Method::dis, 15, 2};
constexpr idx_t rows = 600;

// The same, with ids for labels.
Answered named(Answered found, const std::vector<idx_t>& ids) {
    for (idx_t& label : found.labels) label = label < 0 ? label : ids[label];
    return found;
}

// Rows are told apart by both their scores and labels; equal up to rounding.
void expect_near(const Answered& a, const Answered& b) {
    EXPECT_EQ(a.labels, b.labels);
    for (size_t i = 0; i < a.distances.size(); i++) {
        ASSERT_NEAR(a.distances[i], b.distances[i], 1e-5) << "slot " << i;
    }
}

Index attached(Index index, const float* originals = nullptr) {
    return attach(std::move(index), normalization, bank.view(), originals);
}

Index wrapped(Index base, const float* originals = nullptr) {
    auto index = std::make_unique<IndexQBNorm>(base.release());
    index->own_fields = true;
    index->normalization = normalization;
    index->set_querybank(bank.rows, bank.data.data(), originals);
    return index;
}

/// Ids for n rows that are no labels, in no order.
std::vector<idx_t> wild_ids(idx_t n) {
    std::vector<idx_t> ids(n);
    for (idx_t i = 0; i < n; i++) ids[i] = 10000000000 * (i - 100) + 3;
    std::shuffle(ids.begin(), ids.end(), std::mt19937(7));
    return ids;
}

/// A factory's index of `gallery`, with ids.
Index with_ids(const char* factory, Metric metric,
               const std::vector<idx_t>& ids) {
    Index index(faiss::index_factory(16, factory, bases::faiss_metric(metric)));
    index->train(rows, gallery.data.data());
    index->add_with_ids(rows, gallery.data.data(), ids.data());
    return index;
}

faiss::IndexIVF& ivf_of(const faiss::Index& index) {
    const IndexQBNorm* found = qbnorm_in(index);
    return const_cast<faiss::IndexIVF&>(dynamic_cast<const faiss::IndexIVF&>(
        innermost(found ? *found->base_index : index)));
}

void probe_all(const faiss::Index& index) {
    ivf_of(index).nprobe = 8;
}

TEST(Attach, WrapsWhatHasLabelsInOrder) {
    for (const char* factory :
         {"Flat", "IVF8,Flat", "SQ8", "PCA8,IVF8,Flat", "RR16,Flat"}) {
        for (const Metric metric : metrics) {
            SCOPED_TRACE(factory);
            const Index index = attached(bases::make(factory, metric, gallery));
            EXPECT_EQ(typeid(*index), typeid(IndexQBNorm));
            EXPECT_EQ(qbnorm_in(*index)->normalization, normalization);
            EXPECT_EQ(qbnorm_in(*index)->querybank().rows, 90);
            EXPECT_EQ(answers(*index),
                      answers(*wrapped(bases::make(factory, metric, gallery))));
        }
    }
}

TEST(Attach, GoesInsideAnIdMap) {
    for (const char* factory : {"IDMap,Flat", "IDMap2,IVF8,Flat"}) {
        for (const Metric metric : metrics) {
            SCOPED_TRACE(factory);
            const auto ids = wild_ids(rows);
            Index base = with_ids(factory, metric, ids);
            const auto& type = typeid(*base);
            const Index index = attached(std::move(base));
            EXPECT_EQ(typeid(*index), type);
            EXPECT_TRUE(dynamic_cast<faiss::IndexIDMap&>(*index).own_fields);
            EXPECT_TRUE(qbnorm_in(*index)->own_fields);
            const char* inside = std::strchr(factory, ',') + 1;
            const Index expected =
                wrapped(bases::make(inside, metric, gallery));
            EXPECT_EQ(answers(*index), named(answers(*expected), ids));
            const auto added = wild_ids(rows + 50);
            index->add_with_ids(50, more.data.data(), added.data() + rows);
            EXPECT_EQ(index->ntotal, 650);
        }
    }
}

TEST(Attach, LeavesAMapsIndexToItsOwner) {
    faiss::IndexFlatIP flat(16);
    auto map = std::make_unique<faiss::IndexIDMap>(&flat);
    map->add_with_ids(rows, gallery.data.data(), wild_ids(rows).data());
    Index index = attached(std::move(map));
    EXPECT_TRUE(dynamic_cast<faiss::IndexIDMap&>(*index).own_fields);
    index.reset();
    EXPECT_EQ(flat.ntotal, rows);  // ASan: is alive
}

// The rows in the order of their ids: what a renumbered index holds.
struct Sorted {
    Matrix vectors = gallery;
    std::vector<idx_t> ids;

    explicit Sorted(const std::vector<idx_t>& unsorted) : ids(unsorted) {
        std::vector<idx_t> order(rows);
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](idx_t a, idx_t b) {
            return unsorted[a] < unsorted[b];
        });
        for (idx_t i = 0; i < rows; i++) {
            ids[i] = unsorted[order[i]];
            std::copy_n(gallery.view().row(order[i]), 16,
                        vectors.data.data() + i * 16);
        }
    }
};

TEST(Attach, RenumbersAnIvfWithIdsOfItsOwn) {
    const auto ids = wild_ids(rows);
    const Sorted sorted(ids);
    for (const char* factory :
         {"IVF8,Flat", "IVF8,SQ8", "IVF8,PQ4x4", "RR16,IVF8,Flat"}) {
        for (const Metric metric : metrics) {
            SCOPED_TRACE(factory);
            const Index index = attached(with_ids(factory, metric, ids));
            ASSERT_EQ(typeid(*index), typeid(faiss::IndexIDMap2));
            const auto& map = dynamic_cast<faiss::IndexIDMap2&>(*index);
            EXPECT_EQ(map.id_map, sorted.ids);
            map.check_consistency();
            EXPECT_TRUE(map.own_fields);
            EXPECT_TRUE(qbnorm_in(map)->own_fields);
            EXPECT_EQ(index->ntotal, rows);
            EXPECT_EQ(index->d, 16);
            EXPECT_TRUE(index->is_trained);

            // The quantizers are trained on rows in another order.
            Index same = bases::make(factory, metric, gallery);
            same->reset();
            same->add(rows, sorted.vectors.data.data());
            same = wrapped(std::move(same));
            probe_all(*same);
            probe_all(*index);
            EXPECT_EQ(index->metric_type, same->metric_type);
            expect_near(answers(*index), named(answers(*same), sorted.ids));
        }
    }
}

TEST(Attach, ARenumberedIndexGrowsAndIsWritten) {
    const TemporaryFolder folder;
    const std::string path = folder / "a";
    const auto ids = wild_ids(rows);
    const Index index = attached(with_ids("IVF8,Flat", Metric::l2, ids));
    const std::vector<idx_t> added(50, 77);
    index->add_with_ids(50, more.data.data(), added.data());
    EXPECT_EQ(index->ntotal, 650);
    probe_all(*index);
    write_index_qbnorm(index.get(), path.c_str());
    const Index again(read_index_qbnorm(path.c_str()));
    EXPECT_EQ(answers(*again), answers(*index));
    float distance = -1;
    idx_t label = -1;
    qbnorm_in(*again)->normalization.method = Method::none;
    again->search(1, more.data.data(), 1, &distance, &label);
    EXPECT_EQ(label, 77);
}

TEST(Attach, DirectMapsFollowTheLabels) {
    const auto ids = wild_ids(rows);
    for (const auto type :
         {faiss::DirectMap::NoMap, faiss::DirectMap::Hashtable}) {
        Index base = with_ids("IVF8,Flat", Metric::l2, ids);
        ivf_of(*base).set_direct_map_type(type);
        const Index index = attached(std::move(base));
        EXPECT_EQ(ivf_of(*index).direct_map.type, type);
        if (type == faiss::DirectMap::NoMap) continue;
        std::vector<float> vector(16);
        for (idx_t i = 0; i < rows; i++) {
            index->reconstruct(ids[i], vector.data());
            ASSERT_TRUE(std::equal(vector.begin(), vector.end(),
                                   gallery.view().row(i)));
        }
    }
}

TEST(Attach, VectorsOfOneLabelBothKeepIt) {
    std::vector<idx_t> ids(rows);
    for (idx_t i = 0; i < rows; i++) ids[i] = i / 2;
    const Index index = attached(with_ids("IVF8,Flat", Metric::l2, ids));
    probe_all(*index);
    qbnorm_in(*index)->normalization.method = Method::none;
    for (idx_t i = 0; i < rows; i++) {
        float distance = -1;
        idx_t label = -1;
        index->search(1, gallery.view().row(i), 1, &distance, &label);
        ASSERT_EQ(label, i / 2);
        ASSERT_LT(distance, 1e-6);
    }
}

TEST(Attach, LabelsWithHolesStay) {
    Index base = bases::make("IVF8,Flat", Metric::l2, gallery);
    base->remove_ids(faiss::IDSelectorRange(100, 200));
    const Index index = attached(std::move(base));
    EXPECT_EQ(index->ntotal, 500);
    const auto& map = dynamic_cast<faiss::IndexIDMap2&>(*index);
    for (idx_t i = 0; i < 500; i++) {
        EXPECT_EQ(map.id_map[i], i < 100 ? i : i + 100);
    }
}

TEST(Attach, ShuffledLabelsNeedNoMap) {
    std::vector<idx_t> ids(rows);
    std::iota(ids.begin(), ids.end(), 0);
    std::shuffle(ids.begin(), ids.end(), std::mt19937(8));
    const Index index = attached(with_ids("IVF8,Flat", Metric::l2, ids));
    EXPECT_EQ(typeid(*index), typeid(IndexQBNorm));
    const Index same = attached(bases::make("IVF8,Flat", Metric::l2, gallery));
    expect_near(answers(*index), named(answers(*same), ids));
}

TEST(Attach, TakesOriginalsInTheOrderOfLabels) {
    const auto ids = wild_ids(rows);
    const Sorted sorted(ids);
    const Index exact =
        wrapped(bases::make("Flat", Metric::inner_product, sorted.vectors));
    const auto expect_offsets = [&](const Index& index,
                                    const NormTable& expected) {
        const NormTable& table = *qbnorm_in(*index)->table();
        for (idx_t i = 0; i < rows; i++) {
            ASSERT_EQ(table.columns[0].offsets[i],
                      expected.columns[0].offsets[i]);
        }
    };
    expect_offsets(attached(with_ids("IVF8,PQ4x4", Metric::inner_product, ids),
                            sorted.vectors.data.data()),
                   *qbnorm_in(*exact)->table());
    const Index unsorted =
        wrapped(bases::make("Flat", Metric::inner_product, gallery));
    expect_offsets(attached(with_ids("IDMap,PQ4x4", Metric::inner_product, ids),
                            gallery.data.data()),
                   *qbnorm_in(*unsorted)->table());
}

// ---- refusals ----

TEST(Attach, RefusesWhatItCannotNormalise) {
    const auto make = [](const char* factory) {
        return bases::make(factory, Metric::l2, gallery);
    };
    const auto ids = wild_ids(rows);
    EXPECT_REFUSED(attached(nullptr), "null pointer");
    EXPECT_REFUSED(attached(Index(faiss::index_factory(16, "IVF8,Flat"))),
                   "not trained");
    const char* already = "an IndexQBNorm already";
    EXPECT_REFUSED(attached(attached(make("Flat"))), already);
    EXPECT_REFUSED(attached(attached(with_ids("IDMap,Flat", Metric::l2, ids))),
                   already);
    EXPECT_REFUSED(attached(make("LSH")), "Hamming");
    EXPECT_REFUSED(attach(make("Flat"), {Method::dis, -1, 1}, bank.view()),
                   "beta");
    EXPECT_REFUSED(attach(make("Flat"), {}, bank.view().slice(0, 0)),
                   "querybank is empty");
    Index map_inside(new faiss::IndexPreTransform(
        with_ids("IDMap,Flat", Metric::l2, ids).release()));
    dynamic_cast<faiss::IndexPreTransform&>(*map_inside).own_fields = true;
    EXPECT_REFUSED(attached(std::move(map_inside)), "labels of its own");
}

TEST(Attach, RefusesLabelsThatItCannotRenumber) {
    const TemporaryFolder folder;
    const auto ids = wild_ids(rows);
    Index on_disk = with_ids("IVF8,Flat", Metric::l2, ids);
    faiss::IndexIVF& ivf = ivf_of(*on_disk);
    auto* lists = new faiss::OnDiskInvertedLists(8, ivf.code_size,
                                                 (folder / "lists").c_str());
    lists->merge_from_1(ivf.invlists);
    ivf.replace_invlists(lists, true);
    EXPECT_REFUSED(attached(std::move(on_disk)), "in inverted lists that");

    // Its refinement is found by the label.
    EXPECT_REFUSED(attached(with_ids("IVF8,PQ4+4", Metric::l2, ids)),
                   "elsewhere than in its inverted lists");

    // The map knows the vectors by labels that the IVF has no more.
    Index mapped = with_ids("IDMap,IVF8,Flat", Metric::l2, ids);
    auto& map = dynamic_cast<faiss::IndexIDMap&>(*mapped);
    map.index->remove_ids(faiss::IDSelectorRange(0, 10));
    EXPECT_REFUSED(attached(std::move(mapped)), "which the map does not know");

    Index wrong = with_ids("IVF8,Flat", Metric::l2, ids);
    wrong->ntotal = 599;
    EXPECT_REFUSED(attached(std::move(wrong)), "hold 600 vectors but it says");
}

}  // namespace
