// Oracle: the paper in float64 (oracle.h), and the base's own distances.

#include <faiss/IndexFlat.h>
#include <faiss/IndexRefine.h>
#include <faiss/impl/DistanceComputer.h>
#include <faiss/impl/FaissException.h>
#include <gtest/gtest.h>

#include "tests/data.h"
#include "tests/faiss/model.h"

namespace {

using namespace faiss_qbnorm;
using model::Side;

constexpr int d = 16;
constexpr idx_t items = 200;
const model::Data vectors{testdata::unit(items, d, 1), testdata::unit(10, d, 2),
                          testdata::unit(80, d, 3)};
const Normalization with_is{Method::is, 20, 1};

using Computer = std::unique_ptr<faiss::DistanceComputer>;

class Distances : public testing::TestWithParam<Metric> {
  protected:
    const Metric metric = GetParam();
    const double sign = metric == Metric::l2 ? -1 : 1;
};

INSTANTIATE_TEST_SUITE_P(Metrics, Distances,
                         testing::Values(Metric::inner_product, Metric::l2));

TEST_P(Distances, ToAQueryAreNormalised) {
    for (const char* factory : {"Flat", "SQ8", "PQ4x4np", "PCA8,Flat"}) {
        SCOPED_TRACE(factory);
        Side side(vectors, factory, metric, with_is);
        side.add(0, items);
        side.remove({3, 70});
        side.add(0, 5);
        const auto reference = side.model.reference(vectors.queries);
        const Computer computer(side.index.get_distance_computer());
        const Computer raw(side.base->get_distance_computer());
        SearchParametersQBNorm params;
        params.k_factor = 1e6F;
        const idx_t n = side.index.ntotal;
        std::vector<float> distances(n);
        std::vector<idx_t> labels(n);
        for (idx_t i = 0; i < vectors.queries.rows; i++) {
            const float* query = vectors.queries.view().row(i);
            computer->set_query(query);
            raw->set_query(query);
            const auto expected = reference.scores(Method::is, i);
            for (idx_t j = 0; j < n; j++) {
                ASSERT_NEAR(sign * (*computer)(j), expected[j], 2e-5);
                ASSERT_EQ((*computer)(j),
                          static_cast<float>(
                              (*raw)(j)-sign *
                              side.index.table()->columns[0].offsets[j]));
            }
            side.index.search(1, query, n, distances.data(), labels.data(),
                              &params);
            for (idx_t j = 0; j < n; j++) {
                ASSERT_NEAR((*computer)(labels[j]), distances[j], 2e-5);
            }
        }
        // Between items they are the base's (a PQ without a table has none).
        if (std::string(factory) == "PQ4x4np") continue;
        for (idx_t j = 1; j < 50; j++) {
            EXPECT_EQ(computer->symmetric_dis(j, j - 1),
                      raw->symmetric_dis(j, j - 1));
        }
    }
}

TEST_P(Distances, DependOnTheMethod) {
    Side side(vectors, "Flat", metric, with_is);
    EXPECT_NO_THROW(delete side.index.get_distance_computer());  // no items
    side.add(0, items);
    side.index.normalization.method = Method::dis;
    EXPECT_REFUSED(delete side.index.get_distance_computer(),
                   "whose gate needs a search");
    side.index.normalization = {Method::is, 21, 1};
    EXPECT_REFUSED(delete side.index.get_distance_computer(),
                   "set_querybank again");
    side.index.normalization = {Method::none, 20, 1};
    const Computer computer(side.index.get_distance_computer());
    const Computer raw(side.base->get_distance_computer());
    computer->set_query(vectors.queries.data.data());
    raw->set_query(vectors.queries.data.data());
    for (idx_t j = 0; j < items; j++) EXPECT_EQ((*computer)(j), (*raw)(j));

    faiss::IndexFlatIP flat(d);
    IndexQBNorm unfitted(&flat);
    unfitted.normalization.method = Method::is;
    EXPECT_REFUSED(delete unfitted.get_distance_computer(),
                   "no fitted querybank");
    // Over inverted lists FAISS has some for L2 alone, through a direct map.
    Side ivf(vectors, "IVF8,Flat", metric, with_is);
    ivf.add(0, items);
    if (metric == Metric::inner_product) {
        EXPECT_REFUSED(delete ivf.index.get_distance_computer(),
                       "has no distance computer; use search");
        return;
    }
    dynamic_cast<faiss::IndexIVF&>(*ivf.base).make_direct_map();
    const Computer of_ivf(ivf.index.get_distance_computer());
    of_ivf->set_query(vectors.queries.data.data());
    const auto expected =
        ivf.model.reference(vectors.queries).scores(Method::is, 0);
    for (idx_t j = 0; j < items; j++) {
        EXPECT_NEAR(sign * (*of_ivf)(j), expected[j], 2e-5);
    }
}

// A computer outlives the table that it was made from.
TEST_P(Distances, StayWhenTheIndexIsFittedAgain) {
    Side side(vectors, "Flat", metric, with_is);
    side.add(0, items);
    const Computer computer(side.index.get_distance_computer());
    computer->set_query(vectors.queries.data.data());
    const float before = (*computer)(items - 1);
    side.index.set_querybank(10, vectors.gallery.data.data());
    EXPECT_EQ((*computer)(items - 1), before);
}

TEST_P(Distances, LetAStockIndexRefineRankByNormalisedScores) {
    for (const char* factory : {"IVF8,PQ4x4np", "SQ8"}) {
        SCOPED_TRACE(factory);
        const auto base = model::empty_base(factory, metric, vectors.gallery);
        Side side(vectors, "Flat", metric, with_is);
        faiss::IndexRefine refine(base.get(), &side.index);
        refine.add(items, vectors.gallery.data.data());
        side.model.add(vectors.gallery);
        side.expect();
        const auto reference = side.model.reference(vectors.queries);
        const idx_t nq = vectors.queries.rows;
        for (const idx_t k : {10, 40}) {
            refine.k_factor = static_cast<float>(items) / k;
            std::vector<float> distances(nq * k);
            std::vector<idx_t> labels(nq * k);
            refine.search(nq, vectors.queries.data.data(), k, distances.data(),
                          labels.data());
            for (float& distance : distances) {
                distance *= static_cast<float>(sign);
            }
            for (idx_t i = 0; i < nq; i++) {
                oracle::expect_ranking(reference.scores(Method::is, i), k,
                                       &distances[i * k], &labels[i * k], 2e-5);
            }
        }
    }
}

}  // namespace
