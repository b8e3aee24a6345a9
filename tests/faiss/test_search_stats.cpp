// How queries were answered. Oracle: oracle.h for the gates; for certificates
// the ranking of every item by FAISS's own distances (k = ntotal).

#include <faiss/IndexIVF.h>
#include <faiss/IndexScalarQuantizer.h>
#include <faiss/IndexShards.h>
#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/IDSelector.h>
#include <gtest/gtest.h>

#include <thread>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "tests/data.h"
#include "tests/faiss/bases.h"
#include "tests/oracle.h"

namespace {

using namespace faiss_qbnorm;

constexpr idx_t items = 500;
constexpr idx_t nq = 60;
constexpr int d = 16;

class SearchStats : public testing::TestWithParam<Metric> {
  protected:
    const Metric metric = GetParam();
    const Matrix gallery = testdata::unit(items, d, 1);
    const Matrix queries = testdata::unit(nq, d, 2);
    const Matrix bank = testdata::unit(100, d, 3);

    void fit(IndexQBNorm& index) const {
        index.set_querybank(bank.rows, bank.data.data(), gallery.data.data());
    }

    QBNormSearchStats stats(const IndexQBNorm& index, idx_t n, const float* x,
                            idx_t k, float* distances, idx_t* labels) const {
        QBNormSearchStats result;
        SearchParametersQBNorm params;
        params.stats = &result;
        index.search(n, x, k, distances, labels, &params);
        return result;
    }

    QBNormSearchStats stats(const IndexQBNorm& index, idx_t k) const {
        std::vector<float> distances(nq * k);
        std::vector<idx_t> labels(nq * k);
        return stats(index, nq, queries.data.data(), k, distances.data(),
                     labels.data());
    }

    idx_t open_gates() const {
        const oracle::Reference reference(metric, gallery.view(),
                                          queries.view(), bank.view(), 20, 1);
        idx_t open = 0;
        for (const oracle::Row& row : reference.raw) {
            open += static_cast<idx_t>(
                reference.activation.count(oracle::ranking(row)[0]));
        }
        return open;
    }
};

INSTANTIATE_TEST_SUITE_P(Metrics, SearchStats,
                         testing::Values(Metric::inner_product, Metric::l2));

TEST_P(SearchStats, CountOpenGatesAndCandidates) {
    for (const char* factory : {"Flat", "IVF8,Flat", "SQfp16"}) {
        SCOPED_TRACE(factory);
        const auto base = bases::make(factory, metric, gallery);
        auto* ivf = dynamic_cast<faiss::IndexIVF*>(base.get());
        if (ivf) ivf->nprobe = 8;
        IndexQBNorm index(base.get());
        fit(index);
        const bool reranks = factory[0] == 'S';  // 10 * 10 candidates
        const QBNormSearchStats s = stats(index, 10);
        EXPECT_EQ(s.queries, nq);
        EXPECT_EQ(s.open_gates, open_gates());
        EXPECT_GT(s.open_gates, 0);
        EXPECT_LT(s.open_gates, nq);
        EXPECT_EQ(s.candidates, nq * (reranks ? 100 : items));
        index.normalization.method = Method::is;
        EXPECT_EQ(stats(index, 10).open_gates, nq);
        index.normalization.method = Method::none;
        const QBNormSearchStats none = stats(index, 10);
        EXPECT_EQ(none.queries, nq);
        EXPECT_EQ(none.open_gates, 0);
    }
}

TEST_P(SearchStats, CountWhatProbedListsHold) {
    const auto base = bases::make("IVF8,Flat", metric, gallery);
    auto& ivf = dynamic_cast<faiss::IndexIVF&>(*base);
    ivf.nprobe = 3;
    std::vector<float> distances(nq * 3);
    std::vector<idx_t> lists(nq * 3);
    ivf.quantizer->search(nq, queries.data.data(), 3, distances.data(),
                          lists.data());
    idx_t held = 0;
    for (const idx_t list : lists) {
        held += static_cast<idx_t>(ivf.invlists->list_size(list));
    }
    IndexQBNorm index(base.get());
    fit(index);
    const QBNormSearchStats s = stats(index, 10);
    EXPECT_EQ(s.candidates, held);
    EXPECT_EQ(s.certified, 0) << "other lists were not looked at";
    ivf.nprobe = 8;
    EXPECT_EQ(stats(index, 10).certified, nq);
}

TEST_P(SearchStats, CertifiedAnswersAreThoseOfAllItems) {
    constexpr idx_t k = 5;
    const auto sq = bases::make("SQ8", metric, gallery);
    faiss::IndexShards shards(d, false, true);
    const auto first = bases::make("Flat", metric, gallery);
    shards.metric_type = first->metric_type;
    shards.add_shard(first.get());
    for (faiss::Index* base : {sq.get(), static_cast<faiss::Index*>(&shards)}) {
        IndexQBNorm all(base);
        all.k_factor = items;
        fit(all);
        EXPECT_EQ(stats(all, k).certified, nq);
        idx_t certified = 0;
        idx_t wrong = 0;
        for (const idx_t candidates : {5, 200}) {
            IndexQBNorm index(base);
            index.k_factor = 1;
            index.min_candidates = candidates;
            fit(index);
            for (idx_t i = 0; i < nq; i++) {
                std::vector<float> distances(2 * k);
                std::vector<idx_t> labels(2 * k);
                const float* query = queries.view().row(i);
                const QBNormSearchStats one =
                    stats(index, 1, query, k, distances.data(), labels.data());
                all.search(1, query, k, &distances[k], &labels[k]);
                const bool right =
                    std::equal(labels.begin(), labels.begin() + k, &labels[k]);
                if (one.certified) {
                    EXPECT_TRUE(right) << "query " << i << " of " << candidates;
                }
                certified += one.certified;
                wrong += !right;
            }
        }
        EXPECT_GT(certified, 0);
        EXPECT_LT(certified, 2 * nq);
        EXPECT_GT(wrong, 0) << "the data needs certificates";
    }
}

TEST_P(SearchStats, NothingIsCertifiedOfApproximateBases) {
    const auto base = bases::make("HNSW16,Flat", metric, gallery);
    IndexQBNorm index(base.get());
    index.k_factor = items;
    fit(index);
    EXPECT_EQ(stats(index, 5).certified, 0);
}

TEST_P(SearchStats, AreEachCallsOwn) {
    const auto base = bases::make("SQ8", metric, gallery);
    IndexQBNorm index(base.get());
    fit(index);
    const auto expected = stats(index, 10);
    std::vector<std::thread> threads;
    std::vector<int> equal(4, 0);
    for (int t = 0; t < 4; t++) {
        threads.emplace_back([&, t] {
            for (int round = 0; round < 5; round++) {
                const auto mine = stats(index, 10);
                equal[t] += mine.open_gates == expected.open_gates &&
                            mine.candidates == expected.candidates &&
                            mine.certified == expected.certified;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(equal, std::vector<int>(4, 5));
}

TEST_P(SearchStats, RangeSearchesReportToo) {
    faiss::IDSelectorRange few(10, 13);
    for (const char* factory : {"Flat", "IVF8,Flat"}) {
        const auto base = bases::make(factory, metric, gallery);
        auto* ivf = dynamic_cast<faiss::IndexIVF*>(base.get());
        IndexQBNorm index(base.get());
        fit(index);
        QBNormSearchStats s;
        SearchParametersQBNorm params;
        params.stats = &s;
        const auto range = [&] {
            faiss::RangeSearchResult result(nq);
            index.range_search(nq, queries.data.data(), 0.5F, &result, &params);
        };
        for (const size_t nprobe : {3, 8}) {
            if (ivf) ivf->nprobe = nprobe;
            range();
            EXPECT_EQ(s.queries, nq);
            EXPECT_EQ(s.certified, ivf && nprobe < 8 ? 0 : nq);
        }
        EXPECT_EQ(s.open_gates, open_gates());
        params.sel = &few;
        range();
        EXPECT_LE(s.candidates, 3 * nq);
        EXPECT_TRUE(ivf || s.candidates == 3 * nq);
        params.sel = nullptr;
        params.method = Method::none;
        s.open_gates = 7;
        std::vector<float> distances(nq);
        std::vector<idx_t> labels(nq);
        std::vector<float> vectors(nq * d);
        if (ivf) ivf->make_direct_map();
        index.search_and_reconstruct(nq, queries.data.data(), 1,
                                     distances.data(), labels.data(),
                                     vectors.data(), &params);
        EXPECT_EQ(s.open_gates, 0);
    }
}

}  // namespace
