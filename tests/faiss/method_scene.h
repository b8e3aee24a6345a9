#pragma once

#include <faiss/IndexIVF.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "faiss_qbnorm/cpu/engine_cpu.h"
#include "faiss_qbnorm/faiss/unwrap.h"
#include "tests/engine/method_scenes.h"
#include "tests/faiss/bases.h"
#include "tests/faiss/wrapped.h"

/// IndexQBNorm with every method that ranks by an offset, and what it should
/// answer by method_offsets.h.

namespace methods {

using namespace faiss_qbnorm;

constexpr idx_t items = 400;
constexpr idx_t nq = 30;
constexpr int d = 16;
constexpr idx_t k = 10;

const Matrix gallery = testdata::unit(items, d, 21);
const Matrix more = testdata::unit(60, d, 24);
const Matrix bank = testdata::unit(90, d, 22);
const Matrix gallerybank = testdata::unit(50, d, 23);
const Matrix queries = testdata::unit(nq, d, 25);

constexpr Metric metrics[] = {Metric::inner_product, Metric::l2};

/// One of each method, and odd ones.
inline std::vector<Normalization> all(Metric metric) {
    std::vector<Normalization> result{Method::csls, scenes::nnn(7, 0.5F),
                                      Method::dualis, scenes::dualis(2, 40),
                                      Method::dbsn};
    if (metric == Metric::inner_product) result.emplace_back(Method::cent);
    return result;
}

/// A base of which every inverted list is probed.
inline std::unique_ptr<faiss::Index> base_of(const std::string& factory,
                                             Metric metric) {
    auto base = bases::make(factory, metric, gallery);
    const auto* ivf = dynamic_cast<const faiss::IndexIVF*>(&innermost(*base));
    if (ivf) const_cast<faiss::IndexIVF*>(ivf)->nprobe = ivf->nlist;
    return base;
}

inline void set_both_banks(IndexQBNorm& index) {
    index.set_banks(bank.rows, bank.data.data(), gallerybank.rows,
                    gallerybank.data.data());
}

/// The offsets of the items of `base`, behind its transforms.
inline oracle::Row offsets_in(const faiss::Index& base, Metric metric,
                              const Normalization& normalization) {
    const Matrix there = bases::transformed(base, gallery);
    const Matrix bank_there = bases::transformed(base, bank);
    const Matrix others_there = bases::transformed(base, gallerybank);
    return oracle::offsets_of(
        normalization,
        {metric, there.view(), bank_there.view(), others_there.view()});
}

struct Found {
    std::vector<float> distances;
    std::vector<idx_t> labels;
    bool operator==(const Found&) const = default;

    Found(const faiss::Index& index, idx_t count,
          const faiss::SearchParameters* params = nullptr)
        : distances(nq * count), labels(nq * count) {
        index.search(nq, queries.data.data(), count, distances.data(),
                     labels.data(), params);
    }
};

/// Expects the index's answers to be what its base brings (its first
/// `candidates`), ranked by score - offset.
inline void expect_answers(const IndexQBNorm& index, const oracle::Row& offsets,
                           idx_t candidates, double tolerance,
                           const faiss::SearchParameters* params = nullptr) {
    const double sign = index.metric_type == faiss::METRIC_L2 ? -1 : 1;
    const Found brought(*index.base_index, candidates);
    const Found found(index, k, params);
    for (idx_t i = 0; i < nq; i++) {
        SCOPED_TRACE(testing::Message() << "query " << i);
        oracle::Row scores(offsets.size(), -1e30);
        for (idx_t c = i * candidates; c < (i + 1) * candidates; c++) {
            const idx_t label = brought.labels[c];
            if (label < 0) continue;
            scores[label] = sign * brought.distances[c] - offsets[label];
        }
        std::vector<float> got;
        for (idx_t j = i * k; j < (i + 1) * k; j++) {
            got.push_back(static_cast<float>(sign * found.distances[j]));
        }
        oracle::expect_ranking(scores, k, got.data(), &found.labels[i * k],
                               tolerance);
    }
}

/// The table of a fit from scratch of `vectors`, with these weights of dbsn.
inline NormTable fitted(const Matrix& vectors, Metric metric,
                        const Normalization& normalization,
                        const SharedArray<float>& log_weights = {}) {
    FitOptions options;
    options.metric = metric;
    options.normalization = normalization;
    options.log_weights = log_weights;
    return fit(*make_engine_cpu(), MemoryGallery(vectors.view()),
               {bank.view(), gallerybank.view()}, options);
}

/// Expects the items with these labels in `table` to be those of `expected`.
inline void expect_table(const NormTable& table, const NormTable& expected,
                         const std::vector<idx_t>& labels,
                         double tolerance = 0) {
    check(table);
    ASSERT_EQ(table.items(), expected.size());
    ASSERT_EQ(static_cast<idx_t>(labels.size()), expected.size());
    ASSERT_EQ(table.columns.size(), expected.columns.size());
    for (size_t c = 0; c < expected.columns.size(); c++) {
        const BankColumn& x = table.columns[c];
        const BankColumn& y = expected.columns[c];
        ASSERT_TRUE(same_bank_and_fit(x, y));
        idx_t active = 0;
        for (idx_t i = 0; i < expected.size(); i++) {
            ASSERT_NEAR(x.offsets[labels[i]], y.offsets[i], tolerance)
                << "label " << labels[i];
            if (!x.has_activation()) continue;
            active += y.activation.contains(i) ? 1 : 0;
            ASSERT_EQ(x.activation.contains(labels[i]),
                      y.activation.contains(i))
                << "label " << labels[i];
        }
        ASSERT_EQ(x.activation.count(), active);  // no hole is active
    }
}

}  // namespace methods
