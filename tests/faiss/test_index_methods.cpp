// Oracle: method_offsets.h (each paper in double precision) over what the base
// brings.

#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/DistanceComputer.h>

#include "faiss_qbnorm/core/matrix.h"
#include "tests/faiss/method_scene.h"

namespace {

using namespace methods;

std::string trace(const std::string& factory, Metric metric,
                  const Normalization& normalization) {
    return factory + " " + name_of(metric) + " " + to_string(normalization);
}

TEST(IndexMethods, RankAsThePapersDo) {
    for (const char* factory : {"Flat", "IVF4,Flat", "PCA12,Flat",
                                "PCAR12,IVF4,Flat", "HNSW16,Flat", "SQ8"}) {
        for (const Metric metric : metrics) {
            const auto base = base_of(factory, metric);
            for (const Normalization& normalization : all(metric)) {
                SCOPED_TRACE(trace(factory, metric, normalization));
                IndexQBNorm index(base.get());
                index.normalization = normalization;
                // What a code lost is not in the offsets of the originals.
                const bool lossy = std::string(factory) == "SQ8";
                index.set_banks(bank.rows, bank.data.data(), gallerybank.rows,
                                gallerybank.data.data(),
                                lossy ? gallery.data.data() : nullptr);
                const bool scanned = !lossy && factory[0] != 'H';
                expect_answers(index, offsets_in(*base, metric, normalization),
                               scanned ? items : 100, 2e-5);
            }
        }
    }
}

// A call's method where the table serves it is that method's own index.
TEST(IndexMethods, ServeWhatSharesColumns) {
    const auto base = base_of("IVF4,Flat", Metric::inner_product);
    IndexQBNorm both(base.get());
    both.normalization = Method::dualis;
    set_both_banks(both);
    SearchParametersQBNorm params;
    for (const Method method : {Method::none, Method::is, Method::dis}) {
        IndexQBNorm alone(base.get());
        alone.normalization = method;
        alone.set_querybank(bank.rows, bank.data.data());
        params.method = method;
        EXPECT_EQ(Found(both, k, &params), Found(alone, k)) << name_of(method);
        both.normalization.method = method;  // or the index's own
        EXPECT_EQ(Found(both, k), Found(alone, k)) << name_of(method);
    }
    params.method = Method::dualis;
    expect_answers(both,
                   offsets_in(*base, Metric::inner_product, Method::dualis),
                   items, 2e-5, &params);
    // The gallerybank's column alone, at its own beta.
    params.method = Method::is;
    params.bank = Bank::gallerybank;
    expect_answers(both,
                   oracle::offsets_of({Method::is, 3, 1},
                                      {Metric::inner_product, gallery.view(),
                                       gallerybank.view()}),
                   items, 2e-5, &params);
}

TEST(IndexMethods, RefuseWhatTheTableDoesNotServe) {
    const auto base = base_of("Flat", Metric::inner_product);
    const Method of_one_column[] = {Method::is, Method::csls, Method::nnn,
                                    Method::cent, Method::dbsn};
    for (const Method fitted : of_one_column) {
        IndexQBNorm index(base.get());
        index.normalization = fitted;
        set_both_banks(index);
        const Found own(index, k);
        SearchParametersQBNorm params;
        for (const Method asked :
             {Method::is, Method::csls, Method::nnn, Method::cent, Method::dbsn,
              Method::dualis, Method::dualdis}) {
            if (asked == fitted) continue;
            const std::string why = "the table was fitted for method " +
                                    name_of(fitted) +
                                    ", which does not serve " + name_of(asked);
            params.method = asked;
            EXPECT_REFUSED(Found(index, k, &params), why);
            index.normalization = asked;
            EXPECT_REFUSED(Found(index, k), why);
            EXPECT_REFUSED(index.get_distance_computer(), why);
            index.normalization = fitted;
        }
        params.method = Method::gc;
        EXPECT_REFUSED(Found(index, k, &params), "gc ranks by the bank");
        // none is the base's own at any time, and leads back.
        index.normalization.method = Method::none;
        EXPECT_EQ(Found(index, k), Found(*base, k));
        params.method = fitted;
        EXPECT_EQ(Found(index, k, &params), own);
        EXPECT_EQ(Found(index, k, &params).labels, own.labels);
    }
}

// Another hyperparameter wants another fit, of the methods that have it only.
TEST(IndexMethods, RefuseOtherHyperparameters) {
    const auto base = base_of("Flat", Metric::inner_product);
    for (const Normalization& fitted : all(Metric::inner_product)) {
        SCOPED_TRACE(to_string(fitted));
        IndexQBNorm index(base.get());
        index.normalization = fitted;
        set_both_banks(index);
        const Found own(index, k);
        const auto ask_for = [&](const Normalization& asked) {
            index.normalization = asked;
            if (same_fit(asked, fitted)) {
                EXPECT_EQ(Found(index, k), own) << to_string(asked);
            } else {
                EXPECT_REFUSED(Found(index, k),
                               "normalization is " + to_string(asked) +
                                   " but the index was fitted for " +
                                   to_string(fitted) +
                                   "; call set_querybank again");
            }
        };
        Normalization asked = fitted;
        asked.beta = 7;
        ask_for(asked);
        asked = fitted;
        asked.beta2 = 7;
        ask_for(asked);
        asked = fitted;
        asked.neighbours = 3;
        ask_for(asked);
        asked = fitted;
        asked.alpha = 0.25F;
        ask_for(asked);
        asked = fitted;
        asked.iterations = 3;
        ask_for(asked);
        asked.iterations = 0;
        index.normalization = asked;
        EXPECT_REFUSED(Found(index, k), "iterations is 0");
    }
    // beta2 matters to a call that asks for dualis, whatever the index's own.
    IndexQBNorm index(base.get());
    index.normalization = Method::dualis;
    set_both_banks(index);
    index.normalization.method = Method::is;
    index.normalization.beta2 = 7;
    EXPECT_NO_THROW(Found(index, k));
    SearchParametersQBNorm params;
    params.method = Method::dualis;
    EXPECT_REFUSED(Found(index, k, &params), "normalization is dualis");
}

TEST(IndexMethods, RefuseToBeFittedWithoutWhatTheyNeed) {
    const auto base = base_of("Flat", Metric::l2);
    IndexQBNorm index(base.get());
    for (const Method method : {Method::dualis, Method::dualdis}) {
        index.normalization = method;
        EXPECT_REFUSED(
            index.set_querybank(bank.rows, bank.data.data()),
            method == Method::dualis ? "needs a gallerybank" : "dualdis");
    }
    index.normalization = Method::cent;
    EXPECT_REFUSED(set_both_banks(index), "cent is defined by the inner");
    index.normalization = Method::is;
    Matrix broken = gallerybank;
    broken.data[5 * d] = NAN;
    EXPECT_REFUSED(index.set_banks(bank.rows, bank.data.data(), broken.rows,
                                   broken.data.data()),
                   "gallerybank: row 5");
    EXPECT_REFUSED(index.set_banks(bank.rows, bank.data.data(), -1, nullptr),
                   "the gallerybank has -1 rows");
    EXPECT_EQ(index.table(), nullptr);
    EXPECT_EQ(index.querybank().rows, 0);
    base->reset();
    IndexQBNorm empty(base.get());
    empty.normalization = Method::dbsn;
    EXPECT_REFUSED(empty.set_querybank(bank.rows, bank.data.data()),
                   "dbsn learns from items, of which there are none yet");
    EXPECT_NO_THROW(set_both_banks(empty));
}

TEST(IndexMethods, KeepBothBanksAsTheyWereGiven) {
    const auto base = base_of("PCA12,Flat", Metric::inner_product);
    IndexQBNorm index(base.get());
    index.normalization = Method::dualis;
    set_both_banks(index);
    EXPECT_TRUE(std::ranges::equal(
        std::span(index.gallerybank().data, gallerybank.data.size()),
        gallerybank.data));
    EXPECT_EQ(index.gallerybank().rows, gallerybank.rows);
    EXPECT_EQ(index.querybank().rows, bank.rows);
    // A new querybank alone forgets the other.
    index.normalization = Method::is;
    index.set_querybank(bank.rows, bank.data.data());
    EXPECT_EQ(index.gallerybank().rows, 0);
}

// ---- the other calls that rank ----

TEST(IndexMethods, DistanceComputersTakeTheOffsets) {
    for (const Metric metric : metrics) {
        const auto base = base_of("Flat", metric);
        const double sign = metric == Metric::l2 ? -1 : 1;
        const auto raw =
            oracle::similarities(metric, queries.view(), gallery.view());
        for (const Normalization& normalization : all(metric)) {
            SCOPED_TRACE(trace("Flat", metric, normalization));
            IndexQBNorm index(base.get());
            index.normalization = normalization;
            set_both_banks(index);
            const auto offsets = offsets_in(*base, metric, normalization);
            const std::unique_ptr<faiss::DistanceComputer> computer(
                index.get_distance_computer());
            for (idx_t i = 0; i < nq; i++) {
                computer->set_query(queries.view().row(i));
                for (idx_t j = 0; j < items; j += 7) {
                    ASSERT_NEAR(sign * (*computer)(j), raw[i][j] - offsets[j],
                                2e-5);
                }
            }
        }
    }
}

// By the median of a query's scores about half the items are found.
TEST(IndexMethods, RangeSearchFindsWhatPassesTheRadius) {
    for (const char* factory : {"Flat", "IVF4,Flat"}) {
        for (const Metric metric : metrics) {
            const auto base = base_of(factory, metric);
            const double sign = metric == Metric::l2 ? -1 : 1;
            const auto raw =
                oracle::similarities(metric, queries.view(), gallery.view());
            for (const Normalization& normalization : all(metric)) {
                SCOPED_TRACE(trace(factory, metric, normalization));
                IndexQBNorm index(base.get());
                index.normalization = normalization;
                set_both_banks(index);
                const auto offsets = offsets_in(*base, metric, normalization);
                oracle::Row scores = oracle::minus(raw[0], offsets);
                std::nth_element(scores.begin(), scores.begin() + items / 2,
                                 scores.end());
                const double limit = scores[items / 2];
                faiss::RangeSearchResult found(nq);
                index.range_search(nq, queries.data.data(),
                                   static_cast<float>(sign * limit), &found);
                for (idx_t i = 0; i < nq; i++) {
                    const auto row = oracle::minus(raw[i], offsets);
                    std::set<idx_t> labels(found.labels + found.lims[i],
                                           found.labels + found.lims[i + 1]);
                    for (idx_t j = 0; j < items; j++) {
                        if (std::abs(row[j] - limit) < 2e-5) continue;
                        ASSERT_EQ(labels.contains(j), row[j] > limit)
                            << "query " << i << ", item " << j;
                    }
                    for (size_t h = found.lims[i]; h < found.lims[i + 1]; h++) {
                        ASSERT_NEAR(sign * found.distances[h],
                                    row[found.labels[h]], 2e-5);
                    }
                }
            }
        }
    }
}

TEST(IndexMethods, AssignAndReconstructAnswerAsSearch) {
    const auto base = base_of("Flat", Metric::inner_product);
    for (const Normalization& normalization : all(Metric::inner_product)) {
        IndexQBNorm index(base.get());
        index.normalization = normalization;
        set_both_banks(index);
        const Found found(index, k);
        std::vector<idx_t> labels(nq * k);
        index.assign(nq, queries.data.data(), labels.data(), k);
        EXPECT_EQ(labels, found.labels);
        std::vector<float> distances(nq * k);
        std::vector<float> vectors(nq * k * d);
        index.search_and_reconstruct(nq, queries.data.data(), k,
                                     distances.data(), labels.data(),
                                     vectors.data());
        EXPECT_EQ(distances, found.distances);
        EXPECT_EQ(labels, found.labels);
        EXPECT_EQ(vectors[3], gallery.view().row(labels[0])[3]);
    }
}

}  // namespace
