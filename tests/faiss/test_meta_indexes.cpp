// IndexQBNorm among FAISS's own wrappers. Oracle: oracle.h over the gallery.

#include <faiss/IndexFlat.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/IndexRefine.h>
#include <faiss/IndexReplicas.h>
#include <faiss/IndexShards.h>
#include <faiss/VectorTransform.h>
#include <gtest/gtest.h>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "tests/data.h"
#include "tests/faiss/bases.h"
#include "tests/oracle.h"

namespace {

using namespace faiss_qbnorm;

constexpr idx_t items = 600;
constexpr idx_t nq = 50;
constexpr idx_t k = 10;
constexpr int d = 16;

class MetaIndexes : public testing::TestWithParam<Metric> {
  protected:
    const Metric metric = GetParam();
    const Matrix gallery = testdata::unit(items, d, 1);
    const Matrix queries = testdata::unit(nq, d, 2);
    const Matrix bank = testdata::unit(100, d, 3);
    const oracle::Reference reference{
        metric, gallery.view(), queries.view(), bank.view(), 20, 1};
    std::vector<float> scores = std::vector<float>(nq * k);
    std::vector<idx_t> labels = std::vector<idx_t>(nq * k);

    void search(const faiss::Index& index) {
        index.search(nq, queries.data.data(), k, scores.data(), labels.data());
        for (float& score : scores)
            score = metric == Metric::l2 ? -score : score;
    }

    void expect_reference(const faiss::Index& index, Method method) {
        search(index);
        for (idx_t i = 0; i < nq; i++) {
            oracle::expect_ranking(reference.scores(method, i), k,
                                   &scores[i * k], &labels[i * k], 1e-5);
        }
    }

    void fit(IndexQBNorm& index, const Matrix& vectors) const {
        index.k_factor = items;  // every item is a candidate
        index.set_querybank(bank.rows, bank.data.data(), vectors.data.data());
    }

    Matrix rows(idx_t begin, idx_t end) const {
        return {{gallery.view().row(begin), gallery.view().row(end)},
                end - begin,
                d};
    }

    std::unique_ptr<faiss::Index> flat_of(const Matrix& vectors) const {
        return bases::make("Flat", metric, vectors);
    }
};

INSTANTIATE_TEST_SUITE_P(Metrics, MetaIndexes,
                         testing::Values(Metric::inner_product, Metric::l2));

TEST_P(MetaIndexes, DisAroundShards) {
    const auto a = flat_of(rows(0, 250));
    const auto b = flat_of(rows(250, items));
    for (const bool threaded : {false, true}) {
        faiss::IndexShards shards(d, threaded, true);
        shards.metric_type = a->metric_type;
        shards.add_shard(a.get());
        shards.add_shard(b.get());
        IndexQBNorm index(&shards);
        fit(index, gallery);
        expect_reference(index, Method::dis);
    }
}

TEST_P(MetaIndexes, DisAroundReplicas) {
    const auto a = flat_of(gallery);
    const auto b = flat_of(gallery);
    faiss::IndexReplicas replicas(d, true);
    replicas.metric_type = a->metric_type;
    replicas.addIndex(a.get());
    replicas.addIndex(b.get());
    IndexQBNorm index(&replicas);
    fit(index, gallery);
    expect_reference(index, Method::dis);
}

TEST_P(MetaIndexes, DisAroundARefinedIndex) {
    const auto coarse = bases::make("SQ4", metric, gallery);
    const auto exact = flat_of(gallery);
    faiss::IndexRefine refine(coarse.get(), exact.get());
    refine.k_factor = 1;  // k is every item already
    IndexQBNorm index(&refine);
    fit(index, gallery);
    expect_reference(index, Method::dis);
}

TEST_P(MetaIndexes, DisAroundATransform) {
    const auto base = bases::make("RR16,Flat", metric, gallery);
    IndexQBNorm index(base.get());
    index.set_querybank(bank.rows, bank.data.data());
    expect_reference(index, Method::dis);
}

TEST_P(MetaIndexes, DisInsideATransform) {
    const auto flat = bases::make("RR16,Flat", metric, gallery);
    auto& outer = dynamic_cast<faiss::IndexPreTransform&>(*flat);
    const Matrix bank_there = bases::transformed(outer, bank);
    auto* index = new IndexQBNorm(outer.index);
    index->own_fields = true;
    index->set_querybank(bank.rows, bank_there.data.data());
    outer.index = index;
    expect_reference(outer, Method::dis);
}

TEST_P(MetaIndexes, DisInsideAnIdMap) {
    std::vector<idx_t> ids(items);
    for (idx_t i = 0; i < items; i++) ids[i] = 1000000007 * (i + 1);
    const auto flat = flat_of(rows(0, 0));
    IndexQBNorm inside(flat.get());
    inside.set_querybank(bank.rows, bank.data.data());
    faiss::IndexIDMap2 map(&inside);
    map.add_with_ids(items, gallery.data.data(), ids.data());
    search(map);
    for (idx_t& label : labels) {
        ASSERT_EQ(label % 1000000007, 0);
        label = label / 1000000007 - 1;
    }
    for (idx_t i = 0; i < nq; i++) {
        oracle::expect_ranking(reference.scores(Method::dis, i), k,
                               &scores[i * k], &labels[i * k], 1e-5);
    }
    std::vector<float> vector(d);
    map.reconstruct(ids[77], vector.data());
    EXPECT_TRUE(
        std::equal(vector.begin(), vector.end(), gallery.view().row(77)));
}

// Offsets are each item's own, so shards fitted with one bank are one index.
TEST_P(MetaIndexes, OnlyUngatedMethodsInsideShards) {
    const auto a = flat_of(rows(0, 250));
    const auto b = flat_of(rows(250, items));
    IndexQBNorm first(a.get());
    IndexQBNorm second(b.get());
    for (IndexQBNorm* shard : {&first, &second}) {
        shard->normalization.method = Method::is;
        shard->set_querybank(bank.rows, bank.data.data());
    }
    faiss::IndexShards shards(d, true, true);
    shards.metric_type = a->metric_type;
    shards.add_shard(&first);
    shards.add_shard(&second);
    expect_reference(shards, Method::is);

    // Why the header warns: each shard's own top-1 opens its gate.
    first.normalization.method = Method::dis;
    second.normalization.method = Method::dis;
    search(shards);
    idx_t wrong = 0;
    for (idx_t i = 0; i < nq; i++) {
        const auto order = oracle::ranking(reference.scores(Method::dis, i));
        wrong +=
            !std::equal(&labels[i * k], &labels[(i + 1) * k], order.begin());
    }
    EXPECT_GT(wrong, 0);
}

TEST_P(MetaIndexes, DisInsideReplicas) {
    const auto a = flat_of(gallery);
    const auto b = flat_of(gallery);
    IndexQBNorm first(a.get());
    IndexQBNorm second(b.get());
    fit(first, gallery);
    fit(second, gallery);
    faiss::IndexReplicas replicas(d, true);
    replicas.metric_type = a->metric_type;
    replicas.addIndex(&first);
    replicas.addIndex(&second);
    expect_reference(replicas, Method::dis);
}

}  // namespace
