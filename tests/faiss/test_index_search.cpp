// Oracle: oracle.h over the whole gallery, over the probed lists (taken from
// FAISS's quantizer), or over the base's own candidates.

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVF.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/impl/IDSelector.h>
#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "tests/data.h"
#include "tests/faiss/bases.h"
#include "tests/oracle.h"

namespace {

using namespace faiss_qbnorm;

constexpr idx_t items = 1000;
constexpr idx_t nq = 60;
constexpr int d = 24;

class IndexSearch : public testing::TestWithParam<Metric> {
  protected:
    const Metric metric = GetParam();
    const Matrix gallery = testdata::unit(items, d, 1);
    const Matrix queries = testdata::unit(nq, d, 2);
    const Matrix bank = testdata::unit(300, d, 3);
    std::vector<float> distances;
    std::vector<idx_t> labels;

    void search(const faiss::Index& index, idx_t k,
                const faiss::SearchParameters* params = nullptr) {
        distances.assign(nq * k, 0);
        labels.assign(nq * k, 0);
        index.search(nq, queries.data.data(), k, distances.data(),
                     labels.data(), params);
    }

    /// The distances as similarities.
    std::vector<float> scores() const {
        std::vector<float> result = distances;
        if (metric == Metric::l2) {
            for (float& score : result) score = -score;
        }
        return result;
    }

    /// `base`'s answer to one query, over what it can reach: its top
    /// `candidates` by its own distances, normalised.
    void expect_normalised(const faiss::Index& base, const IndexQBNorm& index,
                           const oracle::Reference& reference, idx_t candidates,
                           idx_t k, double tolerance,
                           const faiss::SearchParameters* params = nullptr) {
        search(index, k, params);
        const std::vector<float> got = scores();
        std::vector<float> base_distances(nq * candidates);
        std::vector<idx_t> base_labels(nq * candidates);
        base.search(nq, queries.data.data(), candidates, base_distances.data(),
                    base_labels.data(), params);
        for (idx_t i = 0; i < nq; i++) {
            const double sign = metric == Metric::l2 ? -1 : 1;
            std::vector<std::pair<idx_t, double>> reached;
            for (idx_t j = i * candidates; j < (i + 1) * candidates; j++) {
                if (base_labels[j] < 0) continue;
                reached.emplace_back(base_labels[j], sign * base_distances[j]);
            }
            std::sort(reached.begin(), reached.end());
            oracle::Row row;
            for (const auto& [label, score] : reached) row.push_back(score);
            const idx_t top1 =
                row.empty() ? -1 : reached[oracle::ranking(row)[0]].first;
            const Method method = index.normalization.method;
            const bool open =
                method == Method::is ||
                (method == Method::dis && reference.activation.contains(top1));
            for (size_t j = 0; open && j < row.size(); j++) {
                row[j] -= reference.offsets[reached[j].first];
            }
            // Positions among what was reached stand for labels.
            std::vector<idx_t> places;
            for (idx_t j = i * k; j < (i + 1) * k; j++) {
                const auto at = std::lower_bound(
                    reached.begin(), reached.end(),
                    std::pair<idx_t, double>(labels[j], -1e30));
                places.push_back(labels[j] < 0 ? -1 : at - reached.begin());
            }
            SCOPED_TRACE(testing::Message()
                         << name_of(metric) << " query " << i);
            oracle::expect_ranking(row, k, &got[i * k], places.data(),
                                   tolerance);
        }
    }

    oracle::Reference reference(float beta, idx_t activation_k) const {
        return {metric,      gallery.view(), queries.view(),
                bank.view(), beta,           activation_k};
    }

    /// Of the vectors that `base` compares: behind its transforms.
    oracle::Reference reference_behind(const faiss::Index& base) const {
        const Matrix items_there = bases::transformed(base, gallery);
        const Matrix queries_there = bases::transformed(base, queries);
        const Matrix bank_there = bases::transformed(base, bank);
        return {metric,
                items_there.view(),
                queries_there.view(),
                bank_there.view(),
                20,
                1};
    }
};

INSTANTIATE_TEST_SUITE_P(Metrics, IndexSearch,
                         testing::Values(Metric::inner_product, Metric::l2));

TEST_P(IndexSearch, FlatIsExact) {
    const auto base = bases::make("Flat", metric, gallery);
    IndexQBNorm index(base.get());
    index.normalization = {Method::dis, 30, 2};
    index.set_querybank(bank.rows, bank.data.data());
    const auto expected = reference(30, 2);
    for (const Method method : {Method::is, Method::dis}) {
        index.normalization.method = method;
        for (const idx_t k : {1, 10, 1000, 1200}) {
            search(index, k);
            const auto got = scores();
            for (idx_t i = 0; i < nq; i++) {
                oracle::expect_ranking(expected.scores(method, i), k,
                                       &got[i * k], &labels[i * k], 5e-6);
            }
        }
    }
    // Empty slots as FAISS fills them.
    constexpr float largest = std::numeric_limits<float>::max();
    EXPECT_EQ(distances[1199], metric == Metric::l2 ? largest : -largest);
}

TEST_P(IndexSearch, FlatIsExactOverWhatASelectorPasses) {
    const auto base = bases::make("Flat", metric, gallery);
    IndexQBNorm index(base.get());
    index.set_querybank(bank.rows, bank.data.data());
    faiss::IDSelectorRange some(100, 407);
    faiss::SearchParameters params;
    params.sel = &some;
    expect_normalised(*base, index, reference(20, 1), items, 10, 5e-6, &params);
    for (const idx_t label : labels) EXPECT_TRUE(some.is_member(label));
}

TEST_P(IndexSearch, IvfIsExactOverTheProbedLists) {
    for (const char* factory :
         {"IVF16,Flat", "IVF16,SQ8", "IVF16,PQ8x4np", "PCA16,IVF16,Flat",
          "OPQ8_16,IVF16,PQ8x4np", "L2norm,IVF16,Flat"}) {
        const auto base = bases::make(factory, metric, gallery);
        IndexQBNorm index(base.get());
        index.set_querybank(bank.rows, bank.data.data(), gallery.data.data());
        const auto expected = reference_behind(*base);
        for (const Method method : {Method::is, Method::dis}) {
            index.normalization.method = method;
            for (const size_t nprobe : {1, 4, 16}) {
                SCOPED_TRACE(testing::Message()
                             << factory << " nprobe " << nprobe);
                faiss::SearchParametersIVF params;
                params.nprobe = nprobe;
                // The base's whole answer is what its lists hold.
                expect_normalised(*base, index, expected, items, 10, 2e-5,
                                  &params);
            }
        }
    }
}

TEST_P(IndexSearch, IvfTakesSelectorAndMaxCodes) {
    const auto base = bases::make("IVF16,Flat", metric, gallery);
    IndexQBNorm index(base.get());
    index.set_querybank(bank.rows, bank.data.data());
    faiss::IDSelectorRange some(100, 700);
    faiss::SearchParametersIVF params;
    params.nprobe = 8;
    params.sel = &some;
    expect_normalised(*base, index, reference(20, 1), items, 10, 5e-6, &params);
    params.max_codes = 100;
    expect_normalised(*base, index, reference(20, 1), items, 10, 5e-6, &params);
    some.assume_sorted = true;  // then FAISS counts members alone
    expect_normalised(*base, index, reference(20, 1), items, 10, 5e-6, &params);
}

TEST_P(IndexSearch, FlatBehindATransformIsExact) {
    for (const char* factory :
         {"PCA16,Flat", "L2norm,Flat", "RR30,Flat", "L2norm,PCA8,Flat"}) {
        for (const bool before : {false, true}) {
            SCOPED_TRACE(testing::Message() << factory << before);
            const auto base = bases::make(factory, metric, gallery);
            if (before) base->reset();
            IndexQBNorm index(base.get());
            index.set_querybank(bank.rows, bank.data.data());
            if (before) index.add(items, gallery.data.data());
            expect_normalised(*base, index, reference_behind(*base), items, 10,
                              1e-5);
        }
    }
}

TEST_P(IndexSearch, APolysemousFilterIsKept) {
    const auto base = bases::make("IVF4,PQ8x4", metric, gallery);
    auto& ivfpq = dynamic_cast<faiss::IndexIVFPQ&>(*base);
    ivfpq.nprobe = 4;
    ivfpq.polysemous_ht = 12;
    IndexQBNorm index(base.get());
    index.set_querybank(bank.rows, bank.data.data(), gallery.data.data());
    expect_normalised(*base, index, reference(20, 1), 100, 5, 2e-5);
    faiss::IVFPQSearchParameters params;  // FAISS filters all the same
    params.nprobe = 4;
    expect_normalised(*base, index, reference(20, 1), 100, 5, 2e-5, &params);
}

TEST_P(IndexSearch, IvfOverAllListsAnswersAsTheExactScan) {
    const auto flat = bases::make("Flat", metric, gallery);
    const auto base = bases::make("IVF16,Flat", metric, gallery);
    dynamic_cast<faiss::IndexIVF&>(*base).nprobe = 16;
    IndexQBNorm exact(flat.get());
    IndexQBNorm index(base.get());
    exact.set_querybank(bank.rows, bank.data.data());
    index.set_querybank(bank.rows, bank.data.data());
    search(exact, 20);
    const auto expected = labels;
    const auto expected_distances = distances;
    search(index, 20);
    EXPECT_EQ(labels, expected);
    for (size_t i = 0; i < distances.size(); i++) {
        EXPECT_NEAR(distances[i], expected_distances[i], 5e-6);
    }
}

TEST_P(IndexSearch, OthersRerankCandidates) {
    for (const char* factory :
         {"HNSW16,Flat", "PQ8x4", "SQ8", "IVF16,PQ8x4fs", "PCA16,SQ8"}) {
        const auto base = bases::make(factory, metric, gallery);
        IndexQBNorm index(base.get());
        index.set_querybank(bank.rows, bank.data.data(), gallery.data.data());
        const auto expected = reference_behind(*base);
        SCOPED_TRACE(factory);
        expect_normalised(*base, index, expected, 100, 5, 2e-5);
        expect_normalised(*base, index, expected, 200, 20, 2e-5);
        index.k_factor = 3;
        index.min_candidates = 7;
        if (std::string(factory) != "HNSW16,Flat") {  // efSearch is 16
            expect_normalised(*base, index, expected, 7, 2, 2e-5);
        } else {
            expect_normalised(*base, index, expected, 16, 2, 2e-5);
        }
        expect_normalised(*base, index, expected, 60, 20, 2e-5);
        index.k_factor = 1e9F;  // never more than there are
        expect_normalised(*base, index, expected, items, 20, 2e-5);
    }
}

TEST_P(IndexSearch, PassesOtherParametersOn) {
    const auto base = bases::make("HNSW16,Flat", metric, gallery);
    IndexQBNorm index(base.get());
    index.set_querybank(bank.rows, bank.data.data());
    index.k_factor = 1;
    index.min_candidates = 1;
    faiss::SearchParametersHNSW params;
    params.efSearch = 200;
    expect_normalised(*base, index, reference(20, 1), 200, 5, 2e-5, &params);
}

TEST_P(IndexSearch, AnswersAnEmptyIndexAndNoQueries) {
    for (const char* factory : {"Flat", "HNSW16,Flat", "IVF1,Flat"}) {
        const auto base = bases::make(factory, metric, gallery);
        base->reset();
        IndexQBNorm index(base.get());
        index.set_querybank(bank.rows, bank.data.data());
        search(index, 3);
        for (const idx_t label : labels) EXPECT_EQ(label, -1);
        index.search(0, nullptr, 3, nullptr, nullptr);
    }
}

TEST_P(IndexSearch, AssignsAndReconstructsTheNormalisedFirst) {
    const auto base = bases::make("Flat", metric, gallery);
    IndexQBNorm index(base.get());
    index.set_querybank(bank.rows, bank.data.data());
    search(index, 1);
    std::vector<idx_t> assigned(nq);
    index.assign(nq, queries.data.data(), assigned.data());
    EXPECT_EQ(assigned, labels);
    std::vector<float> vectors(nq * d);
    index.search_and_reconstruct(nq, queries.data.data(), 1, distances.data(),
                                 labels.data(), vectors.data());
    EXPECT_EQ(assigned, labels);
    EXPECT_TRUE(std::equal(vectors.begin(), vectors.begin() + d,
                           gallery.view().row(labels[0])));
}

TEST_P(IndexSearch, MayRunConcurrently) {
    for (const char* factory : {"Flat", "IVF16,Flat", "HNSW16,Flat"}) {
        const auto base = bases::make(factory, metric, gallery);
        IndexQBNorm index(base.get());
        index.set_querybank(bank.rows, bank.data.data());
        search(index, 10);
        std::vector<std::vector<idx_t>> found(4, std::vector<idx_t>(nq * 10));
        std::vector<std::thread> threads;
        threads.reserve(found.size());
        for (auto& mine : found) {
            threads.emplace_back([&] {
                std::vector<float> scratch(nq * 10);
                for (int round = 0; round < 5; round++) {
                    index.search(nq, queries.data.data(), 10, scratch.data(),
                                 mine.data());
                }
            });
        }
        for (std::thread& thread : threads) thread.join();
        for (const auto& mine : found) EXPECT_EQ(mine, labels) << factory;
    }
}

// FAISS drops a score of NaN (a product that overflowed both ways). Scored in
// double such items have one, and are found.
TEST(IndexSearchOverflow, FindsWhatFaissLosesOnTheWay) {
    Matrix gallery = testdata::unit(200, 8, 1);
    for (idx_t i = 0; i < gallery.rows; i += 30) {
        gallery.data[i * 8] = 1e25F;
        gallery.data[i * 8 + 1] = -1e25F;
    }
    const Matrix bank = testdata::unit(30, 8, 3);
    std::vector<float> query(8, 0.1F);
    query[0] = query[1] = 1e25F;
    const auto base = bases::make("IVF2,Flat", Metric::inner_product, gallery);
    dynamic_cast<faiss::IndexIVF&>(*base).nprobe = 2;
    std::vector<float> distances(200);
    std::vector<idx_t> labels(200);
    base->search(1, query.data(), 200, distances.data(), labels.data());
    ASSERT_EQ(labels.back(), -1) << "FAISS left some out";
    IndexQBNorm index(base.get());
    index.normalization.method = Method::is;
    index.set_querybank(bank.rows, bank.data.data());
    index.search(1, query.data(), 200, distances.data(), labels.data());
    std::set<idx_t> found;
    for (idx_t i = 0; i < 200; i++) {
        ASSERT_GE(labels[i], 0);
        found.insert(labels[i]);
        EXPECT_TRUE(std::isfinite(distances[i])) << labels[i];
    }
    EXPECT_EQ(found.size(), 200);
}

}  // namespace
