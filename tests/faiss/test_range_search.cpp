// Oracle: the paper in float64 (oracle.h) over what the base can reach (asked
// of FAISS itself where lists are probed or items selected).

#include <faiss/IndexFlat.h>
#include <faiss/IndexIDMap.h>
#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/IDSelector.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/data.h"
#include "tests/faiss/model.h"

namespace {

using namespace faiss_qbnorm;
using model::Side;

constexpr int d = 16;
constexpr idx_t items = 300;
constexpr idx_t nq = 25;  // enough for FAISS's BLAS path
constexpr float infinity = std::numeric_limits<float>::infinity();
const model::Data vectors{testdata::unit(items, d, 1), testdata::unit(nq, d, 2),
                          testdata::unit(120, d, 3)};
const float* queries = vectors.queries.data.data();

struct Range {
    std::vector<size_t> lims;
    std::vector<idx_t> labels;
    std::vector<float> distances;
    bool operator==(const Range&) const = default;

    Range(const faiss::Index& index, float radius,
          const faiss::SearchParameters* params = nullptr) {
        faiss::RangeSearchResult result(nq);
        index.range_search(nq, queries, radius, &result, params);
        lims.assign(result.lims, result.lims + nq + 1);
        labels.assign(result.labels, result.labels + lims[nq]);
        distances.assign(result.distances, result.distances + lims[nq]);
    }

    std::map<idx_t, float> row(idx_t query) const {
        std::map<idx_t, float> found;
        for (size_t i = lims[query]; i < lims[query + 1]; i++) {
            EXPECT_TRUE(found.emplace(labels[i], distances[i]).second)
                << "label " << labels[i] << " twice";
        }
        return found;
    }
};

/// The items of a gallery that a base reaches for every query.
std::vector<std::set<idx_t>> reached(const faiss::Index& base, idx_t labels,
                                     const faiss::SearchParameters* params) {
    std::vector<float> distances(nq * labels);
    std::vector<idx_t> found(nq * labels);
    base.search(nq, queries, labels, distances.data(), found.data(), params);
    std::vector<std::set<idx_t>> result;
    for (idx_t i = 0; i < nq; i++) {
        const auto first = found.begin() + i * labels;
        result.emplace_back(first, first + labels);
        result.back().erase(-1);
    }
    return result;
}

constexpr Method all_methods[] = {Method::none, Method::is, Method::dis};

class RangeSearch : public testing::TestWithParam<Metric> {
  protected:
    const Metric metric = GetParam();
    const double sign = metric == Metric::l2 ? -1 : 1;

    // Scores (higher is better) of what is reached, by label.
    std::map<idx_t, double> scores(const Side& side,
                                   const oracle::Reference& reference,
                                   Method method, idx_t query,
                                   const std::set<idx_t>& within) const {
        const auto labels = side.model.labels();
        std::map<idx_t, double> result;
        bool open = method == Method::is;
        if (method == Method::dis) {
            double best = -infinity;
            for (size_t i = 0; i < labels.size(); i++) {
                const double raw = reference.raw[query][i];
                if (!within.contains(labels[i]) || raw <= best) continue;
                best = raw;
                open = reference.activation.contains(static_cast<idx_t>(i));
            }
        }
        for (size_t i = 0; i < labels.size(); i++) {
            if (!within.contains(labels[i])) continue;
            result[labels[i]] =
                reference.raw[query][i] - (open ? reference.offsets[i] : 0);
        }
        return result;
    }

    void expect_beyond(const Side& side, const oracle::Reference& reference,
                       const faiss::SearchParameters* params = nullptr) const {
        const auto within = reached(*side.base, side.model.next + 1, params);
        for (const Method method : all_methods) {
            for (const float radius : radii(reference, method)) {
                expect_beyond(side, reference, within, radius, method, params);
            }
        }
    }

    void expect_beyond(const Side& side, const oracle::Reference& reference,
                       const std::vector<std::set<idx_t>>& within, float radius,
                       Method method,
                       const faiss::SearchParameters* params) const {
        SCOPED_TRACE(testing::Message()
                     << name_of(method) << " radius " << radius);
        SearchParametersQBNorm given;
        given.method = method;
        given.base_index_params = const_cast<faiss::SearchParameters*>(params);
        QBNormSearchStats stats;
        given.stats = &stats;
        const Range range(side.index, radius, &given);
        EXPECT_EQ(range.lims[0], 0U);
        EXPECT_EQ(stats.queries, nq);
        for (idx_t i = 0; i < nq; i++) {
            ASSERT_LE(range.lims[i], range.lims[i + 1]);
            const auto found = range.row(i);
            const auto expected = scores(side, reference, method, i, within[i]);
            for (const auto& [label, distance] : found) {
                ASSERT_TRUE(expected.contains(label)) << "label " << label;
                ASSERT_NEAR(sign * distance, expected.at(label), 1e-5);
            }
            for (const auto& [label, score] : expected) {
                if (std::fabs(score - sign * radius) < 1e-5) continue;
                ASSERT_EQ(found.contains(label), score > sign * radius)
                    << "query " << i << " label " << label << " score "
                    << score;
            }
        }
    }

    /// Radii that take in few, half, and nearly all of a query's items.
    std::vector<float> radii(const oracle::Reference& reference,
                             Method method) const {
        oracle::Row row = reference.scores(method, 3);
        std::sort(row.begin(), row.end());
        const auto distance = [&](double share) {
            const auto at = static_cast<double>(row.size() - 1) * share;
            return static_cast<float>(sign * row[static_cast<size_t>(at)]);
        };
        return {distance(0.98), distance(0.5), distance(0.03)};
    }
};

INSTANTIATE_TEST_SUITE_P(Metrics, RangeSearch,
                         testing::Values(Metric::inner_product, Metric::l2));

TEST_P(RangeSearch, FindsWhatIsBeyondTheRadius) {
    for (const char* factory : {"Flat", "IVF8,PQ4x4np", "IVF8,Flat", "IVF8,SQ8",
                                "PCA8,Flat", "RR16,IVF8,Flat"}) {
        for (const bool holes : {false, true}) {
            SCOPED_TRACE(testing::Message() << factory << holes);
            Side side(vectors, factory, metric);
            side.add(0, items);
            if (holes) {
                side.remove({0, 1, 63, 64, 65, 150, 299});
                side.add(10, 20);
            }
            expect_beyond(side, side.model.reference(vectors.queries));
        }
    }
}

TEST_P(RangeSearch, LooksAtTheProbedListsAndWhatASelectorPasses) {
    faiss::IDSelectorRange some(40, 200);
    for (const char* factory : {"IVF8,Flat", "RR16,IVF8,Flat"}) {
        Side side(vectors, factory, metric);
        side.add(0, items);
        const auto reference = side.model.reference(vectors.queries);
        for (const size_t nprobe : {1, 3, 8}) {
            for (faiss::IDSelector* selector :
                 {static_cast<faiss::IDSelector*>(nullptr),
                  static_cast<faiss::IDSelector*>(&some)}) {
                SCOPED_TRACE(testing::Message() << factory << nprobe);
                faiss::SearchParametersIVF params;
                params.nprobe = nprobe;
                params.sel = selector;
                expect_beyond(side, reference, &params);
            }
        }
    }
    Side flat(vectors, "Flat", metric);
    flat.add(0, items);
    faiss::SearchParameters params;
    params.sel = &some;
    expect_beyond(flat, flat.model.reference(vectors.queries), &params);
}

TEST_P(RangeSearch, AgreesWithSearch) {
    for (const char* factory : {"Flat", "IVF8,SQ8", "IVF8,Flat"}) {
        Side side(vectors, factory, metric);
        side.add(0, items);
        for (const Method method : {Method::is, Method::dis}) {
            SCOPED_TRACE(testing::Message() << factory << name_of(method));
            SearchParametersQBNorm params;
            params.method = method;
            params.k_factor = 1e6F;
            QBNormSearchStats of_search;
            params.stats = &of_search;
            std::vector<float> distances(nq * items);
            std::vector<idx_t> labels(nq * items);
            side.index.search(nq, queries, items, distances.data(),
                              labels.data(), &params);
            QBNormSearchStats of_range;
            params.stats = &of_range;
            const float radius =
                radii(side.model.reference(vectors.queries), method)[1];
            const Range range(side.index, radius, &params);
            // The same gates, some of them closed.
            EXPECT_EQ(of_range.open_gates, of_search.open_gates);
            EXPECT_EQ(of_range.queries, nq);
            EXPECT_GE(of_range.candidates,
                      static_cast<idx_t>(range.labels.size()));
            EXPECT_EQ(of_range.certified, of_search.certified);
            if (method == Method::is) {
                EXPECT_EQ(of_range.open_gates, nq);
            } else {
                EXPECT_GT(of_range.open_gates, 0);
                EXPECT_LT(of_range.open_gates, nq);
            }
            for (idx_t i = 0; i < nq; i++) {
                const auto found = range.row(i);
                for (idx_t j = i * items; j < (i + 1) * items; j++) {
                    if (std::fabs(distances[j] - radius) < 1e-6) continue;
                    const bool beyond = metric == Metric::l2
                                            ? distances[j] < radius
                                            : distances[j] > radius;
                    ASSERT_EQ(found.contains(labels[j]), beyond);
                    if (beyond) {
                        ASSERT_NEAR(found.at(labels[j]), distances[j], 1e-5);
                    }
                }
            }
        }
    }
}

TEST_P(RangeSearch, NeverReturnsTheRadiusItself) {
    for (const char* factory : {"Flat", "IVF8,Flat"}) {
        Side side(vectors, factory, metric);
        side.add(0, items);
        for (const Method method : {Method::is, Method::dis}) {
            side.index.normalization.method = method;
            const Range wide(side.index, metric == Metric::l2 ? 9.0F : -9.0F);
            for (idx_t query = 0; query < nq; query++) {
                const size_t at = wide.lims[query] + 7 * query;
                const float exactly = wide.distances[at];
                const float further = std::nextafter(
                    exactly, metric == Metric::l2 ? infinity : -infinity);
                const idx_t label = wide.labels[at];
                const Range excluding(side.index, exactly);
                const Range including(side.index, further);
                EXPECT_FALSE(excluding.row(query).contains(label));
                EXPECT_TRUE(including.row(query).contains(label));
            }
        }
    }
}

TEST_P(RangeSearch, TakesNoneAndAll) {
    const float all = metric == Metric::l2 ? infinity : -infinity;
    const float huge = std::copysign(std::numeric_limits<float>::max(), all);
    for (const char* factory : {"Flat", "IVF8,SQ8", "IVF8,Flat", "PCA8,Flat"}) {
        Side side(vectors, factory, metric);
        EXPECT_EQ(Range(side.index, all).lims[nq], 0U);  // no items yet
        side.add(0, items);
        for (const Method method : all_methods) {
            SCOPED_TRACE(testing::Message() << factory << name_of(method));
            side.index.normalization.method = method;
            for (const float radius :
                 {all, huge, metric == Metric::l2 ? 100.0F : -100.0F}) {
                const Range range(side.index, radius);
                for (idx_t i = 0; i < nq; i++) {
                    ASSERT_EQ(range.row(i).size(), static_cast<size_t>(items));
                }
            }
            for (const float radius :
                 {-all, -huge, metric == Metric::l2 ? -100.0F : 100.0F}) {
                const Range range(side.index, radius);
                EXPECT_EQ(range.lims, std::vector<size_t>(nq + 1, 0));
            }
        }
        faiss::RangeSearchResult nothing(0);
        side.index.range_search(0, queries, 0, &nothing);
        EXPECT_EQ(nothing.lims[0], 0U);
    }
}

TEST_P(RangeSearch, GivesAnIdMapsIds) {
    const auto base = bases::make("Flat", metric, vectors.gallery);
    base->reset();
    IndexQBNorm index(base.get());
    index.set_querybank(vectors.bank.rows, vectors.bank.data.data());
    faiss::IndexIDMap map(&index);
    std::vector<idx_t> ids;
    for (idx_t i = 0; i < items; i++) ids.push_back(77000 - 5 * i);
    map.add_with_ids(items, vectors.gallery.data.data(), ids.data());
    const float radius = metric == Metric::l2 ? 0.4F : 0.2F;
    Range expected(index, radius);
    for (idx_t& label : expected.labels) label = ids[label];
    EXPECT_EQ(Range(map, radius), expected);
    EXPECT_GT(expected.labels.size(), 20U);
}

TEST_P(RangeSearch, RefusesWhatItCannotDo) {
    Side side(vectors, "Flat", metric);
    side.add(0, items);
    EXPECT_REFUSED(Range(side.index, NAN), "the radius is NaN");
    for (const idx_t wrong : {nq - 1, nq + 1, idx_t{0}}) {
        faiss::RangeSearchResult result(wrong);
        EXPECT_REFUSED(side.index.range_search(nq, queries, 1, &result),
                       "the RangeSearchResult is for");
    }
    faiss::RangeSearchResult result(1);
    const std::vector<float> broken(d, NAN);
    EXPECT_REFUSED(side.index.range_search(1, broken.data(), 1, &result),
                   "queries: row 0");
    side.index.normalization.beta = 21;
    EXPECT_REFUSED(Range(side.index, 1), "set_querybank again");
    side.index.normalization.beta = 20;
    side.base->add(1, queries);
    EXPECT_REFUSED(Range(side.index, 1), "base_index has 301 vectors");

    // As many of FAISS's indexes have none.
    struct WithoutRange : faiss::IndexFlat {
        using IndexFlat::IndexFlat;
        void range_search(idx_t n, const float* x, float radius,
                          faiss::RangeSearchResult* result,
                          const faiss::SearchParameters*) const override {
            Index::range_search(n, x, radius, result);
        }
    };
    WithoutRange base(d, bases::faiss_metric(metric));
    base.add(items, vectors.gallery.data.data());
    IndexQBNorm index(&base);
    EXPECT_REFUSED(Range(index, 1), "no fitted querybank");
    index.set_querybank(vectors.bank.rows, vectors.bank.data.data());
    for (const Method method : {Method::is, Method::dis}) {
        index.normalization.method = method;
        EXPECT_REFUSED(Range(index, 1), "range_search failed");
    }
}

// Where FAISS's own products lose digits; search and range_search of a flat
// base score alike, to the bit.
TEST(RangeSearchFlat, IsExactFarFromTheOrigin) {
    const auto shifted = [](Matrix matrix) {
        for (float& x : matrix.data) x += 30;
        return matrix;
    };
    const Matrix gallery = shifted(vectors.gallery);
    const Matrix asked = shifted(vectors.queries);
    const Matrix bank = shifted(vectors.bank);
    for (const char* factory : {"Flat", "RR16,Flat"}) {
        const auto base = bases::make(factory, Metric::l2, gallery);
        IndexQBNorm index(base.get());
        index.set_querybank(bank.rows, bank.data.data());
        std::vector<float> distances(nq * items);
        std::vector<idx_t> labels(nq * items);
        index.search(nq, asked.data.data(), items, distances.data(),
                     labels.data());
        const float radius = distances[items / 2];
        faiss::RangeSearchResult result(nq);
        index.range_search(nq, asked.data.data(), radius, &result);
        for (idx_t i = 0; i < nq; i++) {
            std::map<idx_t, float> expected;
            for (idx_t j = i * items; j < (i + 1) * items; j++) {
                if (distances[j] < radius) {
                    expected.emplace(labels[j], distances[j]);
                }
            }
            std::map<idx_t, float> found;
            for (size_t j = result.lims[i]; j < result.lims[i + 1]; j++) {
                found.emplace(result.labels[j], result.distances[j]);
            }
            EXPECT_EQ(found, expected) << factory << " query " << i;
        }
    }
}

}  // namespace
