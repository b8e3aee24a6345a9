#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

#include "faiss_qbnorm/core/normalization.h"
#include "faiss_qbnorm/core/types.h"

/// The oracle of the tests: Bogolin et al., "Cross Modal Retrieval with
/// Querybank Normalisation" (CVPR 2022), written out in double precision, with
/// whole matrices and full sorts. It shares no code with the library.

namespace oracle {

using faiss_qbnorm::idx_t;
using faiss_qbnorm::MatrixView;
using faiss_qbnorm::Method;
using faiss_qbnorm::Metric;

using Row = std::vector<double>;
using Rows = std::vector<Row>;

/// s(a_i, b_j): the inner product, or minus the squared distance.
inline Rows similarities(Metric metric, const MatrixView& a,
                         const MatrixView& b) {
    Rows result(a.rows, Row(b.rows));
    for (idx_t i = 0; i < a.rows; i++) {
        for (idx_t j = 0; j < b.rows; j++) {
            long double sum = 0;
            for (int t = 0; t < a.d; t++) {
                const long double x = a.row(i)[t];
                const long double y = b.row(j)[t];
                sum += metric == Metric::l2 ? -(x - y) * (x - y) : x * y;
            }
            result[i][j] = static_cast<double>(sum);
        }
    }
    return result;
}

/// (log sum_i exp(beta p_ij) - log M) / beta for each item j: eq. 4's
/// denominator, moved out of the exponential.
inline Row is_offsets(const Rows& probe, double beta) {
    const size_t items = probe.front().size();
    Row offsets(items);
    for (size_t j = 0; j < items; j++) {
        long double max = probe[0][j];
        for (const Row& row : probe) max = std::max<long double>(max, row[j]);
        // exp(x) - 1 summed, so that a tiny beta loses no digits.
        long double sum = 0;
        for (const Row& row : probe) sum += expm1l(beta * (row[j] - max));
        const auto mean = sum / static_cast<long double>(probe.size());
        offsets[j] = static_cast<double>(max + log1pl(mean) / beta);
    }
    return offsets;
}

/// Labels by descending score, ties to the lower label.
inline std::vector<idx_t> ranking(const Row& scores) {
    std::vector<idx_t> labels(scores.size());
    std::iota(labels.begin(), labels.end(), 0);
    std::stable_sort(labels.begin(), labels.end(),
                     [&](idx_t a, idx_t b) { return scores[a] > scores[b]; });
    return labels;
}

/// Section 3.3: the items in some bank query's top k.
inline std::set<idx_t> activation_set(const Rows& probe, idx_t k) {
    std::set<idx_t> result;
    for (const Row& row : probe) {
        const auto order = ranking(row);
        const auto taken = std::min(k, static_cast<idx_t>(order.size()));
        result.insert(order.begin(), order.begin() + taken);
    }
    return result;
}

/// Scores by which a method ranks the gallery for one query.
inline Row method_scores(Method method, const Row& raw, const Row& offsets,
                         const std::set<idx_t>& activation) {
    bool open = method == Method::is;
    if (method == Method::dis) open = activation.contains(ranking(raw)[0]);
    Row result = raw;
    for (size_t j = 0; open && j < raw.size(); j++) result[j] -= offsets[j];
    return result;
}

/// All queries' scores, from vectors.
struct Reference {
    Rows raw;
    Row offsets;
    std::set<idx_t> activation;

    Reference(Metric metric, const MatrixView& gallery,
              const MatrixView& queries, const MatrixView& bank, double beta,
              idx_t activation_k)
        : raw(similarities(metric, queries, gallery)) {
        const Rows probe = similarities(metric, bank, gallery);
        offsets = is_offsets(probe, beta);
        activation = activation_set(probe, activation_k);
    }

    Row scores(Method method, idx_t query) const {
        return method_scores(method, raw[query], offsets, activation);
    }
};

/// Expects `labels` and `scores` (k of them, higher is better) to be the head
/// of the ranking by `reference`; scores closer than `tolerance` are tied.
/// Slots past the gallery must hold -1.
inline void expect_ranking(const Row& reference, idx_t k, const float* scores,
                           const idx_t* labels, double tolerance) {
    const std::vector<idx_t> order = ranking(reference);
    std::set<idx_t> seen;
    for (idx_t i = 0; i < k; i++) {
        if (i >= static_cast<idx_t>(order.size())) {
            ASSERT_EQ(labels[i], -1) << "slot " << i;
            continue;
        }
        ASSERT_GE(labels[i], 0) << "slot " << i;
        ASSERT_LT(labels[i], static_cast<idx_t>(order.size()));
        ASSERT_TRUE(seen.insert(labels[i]).second) << "label twice";
        const double right = reference[order[i]];
        ASSERT_NEAR(reference[labels[i]], right, tolerance)
            << "slot " << i << ": label " << labels[i] << " instead of "
            << order[i];
        ASSERT_NEAR(scores[i], right, tolerance) << "slot " << i;
    }
}

}  // namespace oracle
