// SearchParametersQBNorm. Oracle: oracle.h over the gallery; FAISS's own search
// with its own parameters; an index on which the same was set for good.

#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVF.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/IDSelector.h>
#include <gtest/gtest.h>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "tests/data.h"
#include "tests/faiss/bases.h"
#include "tests/oracle.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

constexpr idx_t items = 600;
constexpr idx_t nq = 50;
constexpr idx_t k = 10;
constexpr int d = 16;

struct Answer {
    std::vector<float> distances = std::vector<float>(nq * k);
    std::vector<idx_t> labels = std::vector<idx_t>(nq * k);

    bool operator==(const Answer&) const = default;
};

class SearchParams : public testing::Test {
  protected:
    const Matrix gallery = testdata::unit(items, d, 1);
    const Matrix queries = testdata::unit(nq, d, 2);
    const Matrix bank = testdata::unit(100, d, 3);
    const Matrix other_bank = testdata::unit(80, d, 4);
    const oracle::Reference reference{Metric::inner_product,
                                      gallery.view(),
                                      queries.view(),
                                      bank.view(),
                                      20,
                                      1};

    Answer search(const faiss::Index& index,
                  const faiss::SearchParameters* params = nullptr) const {
        Answer answer;
        index.search(nq, queries.data.data(), k, answer.distances.data(),
                     answer.labels.data(), params);
        return answer;
    }

    std::unique_ptr<faiss::Index> base_of(const char* factory) const {
        return bases::make(factory, Metric::inner_product, gallery);
    }

    void fit(IndexQBNorm& index) const {
        index.set_querybank(bank.rows, bank.data.data(), gallery.data.data());
    }
};

TEST_F(SearchParams, AskForAMethod) {
    const auto base = base_of("Flat");
    IndexQBNorm index(base.get());
    fit(index);
    for (const Method set : {Method::none, Method::dis}) {
        index.normalization.method = set;
        for (const Method asked : {Method::is, Method::dis}) {
            SearchParametersQBNorm params;
            params.method = asked;
            const Answer answer = search(index, &params);
            for (idx_t i = 0; i < nq; i++) {
                oracle::expect_ranking(reference.scores(asked, i), k,
                                       &answer.distances[i * k],
                                       &answer.labels[i * k], 5e-6);
            }
        }
        SearchParametersQBNorm raw;
        raw.method = Method::none;
        EXPECT_EQ(search(index, &raw), search(*base));
    }
    // Nothing asked for: what the index is set to.
    const SearchParametersQBNorm nothing;
    EXPECT_EQ(search(index, &nothing), search(index));
}

TEST_F(SearchParams, AskForAKFactor) {
    const auto base = base_of("SQ8");
    IndexQBNorm index(base.get());
    index.min_candidates = 1;
    fit(index);
    for (const float k_factor : {1.0F, 2.5F, 30.0F}) {
        SearchParametersQBNorm params;
        params.k_factor = k_factor;
        QBNormSearchStats stats;
        params.stats = &stats;
        const Answer answer = search(index, &params);
        EXPECT_EQ(stats.candidates, nq * static_cast<idx_t>(k * k_factor));
        IndexQBNorm set(base.get());
        set.min_candidates = 1;
        set.k_factor = k_factor;
        fit(set);
        EXPECT_EQ(answer, search(set));
    }
    SearchParametersQBNorm params;
    params.k_factor = 0.5F;
    EXPECT_THROW_SAYING(search(index, &params), faiss::FaissException,
                        "k_factor");
}

TEST_F(SearchParams, CarryTheBasesOwn) {
    for (const char* factory : {"IVF8,Flat", "PCA8,IVF8,SQ8"}) {
        const auto base = base_of(factory);
        IndexQBNorm index(base.get());
        fit(index);
        faiss::SearchParametersIVF ivf;
        ivf.nprobe = 5;
        faiss::IDSelectorRange some(50, 400);
        ivf.sel = &some;
        SearchParametersQBNorm params;
        params.base_index_params = &ivf;
        EXPECT_EQ(search(index, &params), search(index, &ivf));
        EXPECT_NE(search(index, &params), search(index));
        params.method = Method::none;
        EXPECT_EQ(search(index, &params), search(*base, &ivf));
        faiss::SearchParametersPreTransform outer;
        outer.index_params = &ivf;
        params.method = Method::is;
        params.base_index_params = &outer;
        if (dynamic_cast<const faiss::IndexPreTransform*>(base.get())) {
            const Answer answer = search(index, &params);
            params.base_index_params = &ivf;
            EXPECT_EQ(answer, search(index, &params));
        }
    }
}

// As an ID map around the index would hand it on.
TEST_F(SearchParams, TakeASelectorBesideTheBasesOwn) {
    faiss::IDSelectorRange some(50, 400);
    for (const char* factory :
         {"Flat", "IVF8,Flat", "IVF8,PQ8x4np", "RR16,IVF8,Flat", "SQ8"}) {
        SCOPED_TRACE(factory);
        const auto base = base_of(factory);
        IndexQBNorm index(base.get());
        fit(index);
        const auto* pre =
            dynamic_cast<const faiss::IndexPreTransform*>(base.get());
        auto* ivf =
            dynamic_cast<faiss::IndexIVF*>(pre ? pre->index : base.get());
        if (ivf) ivf->nprobe = 3;
        SearchParametersQBNorm params;
        params.sel = &some;
        const Answer answer = search(index, &params);
        faiss::SearchParameters plain;
        plain.sel = &some;
        faiss::SearchParametersIVF for_ivf;
        for_ivf.nprobe = 3;  // the index's own, not the parameters' default
        for_ivf.sel = &some;
        EXPECT_EQ(answer, search(index, ivf ? &for_ivf : &plain));
        for (const idx_t label : answer.labels) {
            EXPECT_TRUE(label == -1 || some.is_member(label));
        }
        params.method = Method::none;
        EXPECT_EQ(search(index, &params),
                  search(*base, ivf ? &for_ivf : &plain));
        if (!ivf) continue;
        params.method.reset();
        for_ivf.sel = nullptr;
        for_ivf.nprobe = 6;
        params.base_index_params = &for_ivf;
        const Answer wider = search(index, &params);
        EXPECT_EQ(for_ivf.sel, nullptr) << "the caller's own was changed";
        for_ivf.sel = &some;
        EXPECT_EQ(wider, search(index, &for_ivf));
        EXPECT_THROW_SAYING(search(index, &params), faiss::FaissException,
                            "give one");
    }
}

TEST_F(SearchParams, RefuseASelectorBesideWhatCannotBeCopied) {
    struct Unknown : faiss::SearchParameters {};
    const auto base = base_of("Flat");
    IndexQBNorm index(base.get());
    fit(index);
    faiss::IDSelectorRange some(50, 400);
    Unknown unknown;
    SearchParametersQBNorm params;
    params.sel = &some;
    params.base_index_params = &unknown;
    EXPECT_THROW_SAYING(search(index, &params), faiss::FaissException,
                        "put it into base_index_params");
    unknown.sel = &some;
    params.sel = nullptr;
    EXPECT_EQ(search(index, &params), search(index, &unknown));
}

TEST_F(SearchParams, AskForABanksColumn) {
    for (const char* factory : {"Flat", "IVF8,Flat", "SQ8"}) {
        const auto base = base_of(factory);
        IndexQBNorm index(base.get());
        fit(index);
        IndexQBNorm other(base.get());
        other.normalization = {Method::dis, 7, 3};
        other.set_querybank(other_bank.rows, other_bank.data.data(),
                            gallery.data.data());
        NormTable both = *index.table();
        both.columns.push_back(other.table()->columns.front());
        both.columns[1].bank = Bank::gallerybank;
        IndexQBNorm two(base.get());
        two.set_table(both);
        SearchParametersQBNorm params;
        params.bank = Bank::gallerybank;
        EXPECT_EQ(search(two, &params), search(other));
        EXPECT_EQ(search(two), search(index));
        EXPECT_THROW_SAYING(search(index, &params), faiss::FaissException,
                            "no column of a gallerybank");
    }
}

// The gate looks at what the selector lets through: an answer is what an index
// over those items alone, with the same table, would give.
TEST_F(SearchParams, FilteredSearchesDecideTheirGateByWhatPasses) {
    faiss::IDSelectorRange some(0, 200);
    idx_t differing = 0;
    for (const char* factory : {"Flat", "IVF8,Flat", "SQ8"}) {
        const auto base = base_of(factory);
        IndexQBNorm index(base.get());
        index.k_factor = items;
        fit(index);
        faiss::SearchParametersIVF params;
        params.nprobe = 8;
        params.sel = &some;
        faiss::SearchParameters plain;
        plain.sel = &some;
        const bool is_ivf =
            dynamic_cast<const faiss::IndexIVF*>(base.get()) != nullptr;
        const Answer answer = search(
            index,
            is_ivf ? static_cast<faiss::SearchParameters*>(&params) : &plain);
        const double tolerance = std::string(factory) == "SQ8" ? 0.05 : 5e-6;
        for (idx_t i = 0; i < nq; i++) {
            oracle::Row passing(reference.raw[i].begin(),
                                reference.raw[i].begin() + 200);
            const oracle::Row expected = oracle::method_scores(
                Method::dis, passing, reference.offsets, reference.activation);
            const bool by_all = reference.activation.count(
                oracle::ranking(reference.raw[i])[0]);
            const bool by_passing =
                reference.activation.count(oracle::ranking(passing)[0]);
            differing += by_all != by_passing;
            if (tolerance > 1e-3) continue;  // another quantiser's scores
            oracle::expect_ranking(expected, k, &answer.distances[i * k],
                                   &answer.labels[i * k], tolerance);
        }
    }
    EXPECT_GT(differing, 0) << "the data tells the two rules apart";
}

}  // namespace
