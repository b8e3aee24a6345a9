// Oracle: DualDIS of Wang et al. 2023 as their code has it, in long double over
// whole matrices (methods_oracle.h).

#include <faiss/IndexIVF.h>
#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/IDSelector.h>

#include <cmath>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/fold/fold.h"
#include "faiss_qbnorm/rerank_dualdis.h"
#include "tests/faiss/wrapped.h"
#include "tests/methods_oracle.h"

namespace {

using namespace wrapped_data;

const Matrix gallerybank = testdata::unit(120, 16, 5);

// Its top-1 of half the queries is in each set, more or less.
Normalization dualdis() {
    return {Method::dualdis, 12, 1};
}

struct Reference {
    oracle::Rows raw;
    oracle::Row offsets[2];
    std::set<idx_t> active[2];
    Normalization normalization;

    Reference(const Matrix& items, const Normalization& normalization)
        : raw(oracle::similarities(Metric::inner_product, queries.view(),
                                   items.view())),
          normalization(normalization) {
        const double betas[] = {normalization.beta, normalization.beta2};
        const Matrix* banks[] = {&bank, &gallerybank};
        for (int i = 0; i < 2; i++) {
            const auto probe = oracle::similarities(
                Metric::inner_product, banks[i]->view(), items.view());
            offsets[i] = oracle::is_offsets(probe, betas[i]);
            active[i] =
                oracle::activation_set(probe, normalization.activation_k);
        }
    }

    bool open(int bank, idx_t query) const {
        return active[bank].contains(oracle::ranking(raw[query])[0]);
    }

    // What a row's distances are: of dualis where both gates are open.
    oracle::Row scores(idx_t query) const {
        const double beta1 = normalization.beta;
        const double beta2 = normalization.beta2;
        oracle::Row result;
        if (open(0, query) && open(1, query)) {
            const auto dual =
                oracle::dualis_offsets(offsets[0], beta1, offsets[1], beta2);
            for (size_t j = 0; j < dual.size(); j++) {
                result.push_back(raw[query][j] - dual[j]);
            }
            return result;
        }
        const auto wide = oracle::dualdis_scores(raw[query], offsets[0], beta1,
                                                 open(0, query), offsets[1],
                                                 beta2, open(1, query));
        return {wide.begin(), wide.end()};
    }

    void expect(const Answered& answered, idx_t k) const {
        for (idx_t i = 0; i < queries.rows; i++) {
            SCOPED_TRACE("query " + std::to_string(i));
            const oracle::Row right = scores(i);
            const double most = *std::max_element(right.begin(), right.end());
            oracle::expect_ranking(right, k, answered.distances.data() + i * k,
                                   answered.labels.data() + i * k,
                                   2e-6 * std::max(1.0, most));
        }
    }

    // How many queries have both gates open, and one.
    std::pair<idx_t, idx_t> both_and_one() const {
        std::pair<idx_t, idx_t> result;
        for (idx_t i = 0; i < queries.rows; i++) {
            const int gates = int{open(0, i)} + int{open(1, i)};
            result.first += gates == 2;
            result.second += gates == 1;
        }
        return result;
    }
};

void set_banks(IndexQBNorm& index) {
    index.set_banks(bank.rows, bank.data.data(), gallerybank.rows,
                    gallerybank.data.data());
}

std::unique_ptr<IndexQBNorm> fitted(faiss::Index* base) {
    auto index = std::make_unique<IndexQBNorm>(base);
    index->normalization = dualdis();
    index->min_candidates = base->ntotal;
    set_banks(*index);
    return index;
}

TEST(IndexDualDis, RanksAsThePublishedCode) {
    const Reference reference(gallery, dualdis());
    const auto [both, one] = reference.both_and_one();
    ASSERT_GT(both, 0);
    ASSERT_GT(one, 0);
    ASSERT_LT(both + one, queries.rows);
    for (const char* factory : {"Flat", "IVF4,Flat", "L2norm,Flat"}) {
        SCOPED_TRACE(factory);
        const auto base = bases::make(factory, Metric::inner_product, gallery);
        if (auto* ivf = dynamic_cast<faiss::IndexIVF*>(base.get())) {
            ivf->nprobe = ivf->nlist;
        }
        const auto index = fitted(base.get());
        for (const idx_t k : {1, 10}) reference.expect(answers(*index, k), k);
    }
}

TEST(IndexDualDis, FollowsAddsAndRemovals) {
    Matrix all = gallery;
    all.data.insert(all.data.end(), more.data.begin(), more.data.end());
    all.rows += more.rows;
    const auto base = bases::make("Flat", Metric::inner_product, gallery);
    const auto index = fitted(base.get());
    index->add(more.rows, more.data.data());
    index->min_candidates = all.rows;
    Reference(all, dualdis()).expect(answers(*index), 10);
    const std::vector<idx_t> last{649, 648, 647};
    index->remove_ids(faiss::IDSelectorArray(last.size(), last.data()));
    all.rows -= 3;
    Reference(all, dualdis()).expect(answers(*index), 10);
}

TEST(IndexDualDis, ServesItsRelativesToo) {
    const auto base = bases::make("Flat", Metric::inner_product, gallery);
    const auto index = fitted(base.get());
    for (const Method method :
         {Method::none, Method::is, Method::dis, Method::dualis}) {
        SCOPED_TRACE(name_of(method));
        SearchParametersQBNorm params;
        params.method = method;
        Answered asked{std::vector<float>(queries.rows * 5),
                       std::vector<idx_t>(queries.rows * 5)};
        index->search(queries.rows, queries.data.data(), 5,
                      asked.distances.data(), asked.labels.data(), &params);
        IndexQBNorm alone(base.get());
        alone.normalization = Normalization(method, 12, 1);
        set_banks(alone);
        EXPECT_EQ(asked, answers(alone, 5));
    }
    SearchParametersQBNorm params;
    params.method = Method::csls;
    Answered asked{std::vector<float>(queries.rows),
                   std::vector<idx_t>(queries.rows)};
    EXPECT_REFUSED(
        index->search(queries.rows, queries.data.data(), 1,
                      asked.distances.data(), asked.labels.data(), &params),
        "was fitted for method dualdis, which does not serve csls");
}

TEST(IndexDualDis, ReportsHowQueriesWereAnswered) {
    const auto base = bases::make("HNSW32", Metric::inner_product, gallery);
    const auto index = fitted(base.get());
    index->min_candidates = 50;
    QBNormSearchStats stats;
    SearchParametersQBNorm params;
    params.stats = &stats;
    Answered asked{std::vector<float>(queries.rows * 5),
                   std::vector<idx_t>(queries.rows * 5)};
    index->search(queries.rows, queries.data.data(), 5, asked.distances.data(),
                  asked.labels.data(), &params);
    EXPECT_EQ(stats.queries, queries.rows);
    const auto [both, one] = Reference(gallery, dualdis()).both_and_one();
    EXPECT_EQ(stats.open_gates, both + one);
    EXPECT_EQ(stats.candidates, 50 * queries.rows);
    EXPECT_EQ(stats.certified, 0);
}

TEST(IndexDualDis, SaysWhatItCannot) {
    const auto base = bases::make("Flat", Metric::inner_product, gallery);
    const auto index = fitted(base.get());
    faiss::RangeSearchResult result(queries.rows);
    EXPECT_REFUSED(
        index->range_search(queries.rows, queries.data.data(), 0.5F, &result),
        "set normalization.method = dualis");
    EXPECT_REFUSED(index->get_distance_computer(), "needs a search");
    EXPECT_THROW_SAYING(
        fold(*index->table(), MemoryGallery(gallery.view()), "Flat"), Error,
        "dualdis does not fold");

    IndexQBNorm bare(base.get());
    bare.normalization = dualdis();
    EXPECT_REFUSED(bare.set_querybank(bank.rows, bank.data.data()),
                   "dualdis needs a gallerybank");
    bare.normalization = Method::gc;
    EXPECT_REFUSED(bare.set_querybank(bank.rows, bank.data.data()),
                   "gc ranks by the bank itself");
    const auto l2 = bases::make("Flat", Metric::l2, gallery);
    IndexQBNorm far(l2.get());
    far.normalization = dualdis();
    EXPECT_REFUSED(set_banks(far), "dualdis multiplies similarities");
    EXPECT_EQ(far.table(), nullptr);
}

TEST(RerankDualDis, SaysWhatIsWrongWithAList) {
    const auto base = bases::make("Flat", Metric::inner_product, gallery);
    const auto index = fitted(base.get());
    const NormTable& table = *index->table();
    std::vector<float> best(3);
    std::vector<idx_t> best_labels(3);
    const auto rerank = [&](std::vector<float> scores,
                            std::vector<idx_t> labels) {
        rerank_dualdis(table, {1, 2, scores.data(), labels.data(), 7}, 3,
                       {best.data(), best_labels.data()});
    };
    EXPECT_THROW_SAYING(rerank({0.5F, 0.25F}, {3, 600}), Error,
                        "row 7 holds label 600");
    EXPECT_THROW_SAYING(rerank({0.5F, 0.25F}, {-2, 3}), Error,
                        "row 7 holds label -2");
    EXPECT_THROW_SAYING(rerank({0.5F, NAN}, {3, 4}), Error,
                        "row 7 holds a score of NaN or Inf for label 4");
    rerank({0.5F, NAN}, {3, -1});
    EXPECT_EQ(best_labels, (std::vector<idx_t>{3, -1, -1}));
    rerank({0.5F, 0.5F}, {-1, -1});
    EXPECT_EQ(best_labels, (std::vector<idx_t>{-1, -1, -1}));
    EXPECT_EQ(best[0], -std::numeric_limits<float>::infinity());
}

}  // namespace
