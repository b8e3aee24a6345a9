#pragma once

#include "faiss_qbnorm/core/norm_table.h"
#include "tests/methods_oracle.h"

/// What each method takes from a score, from vectors, by methods_oracle.h.

namespace oracle {

using faiss_qbnorm::Normalization;

/// (log sum_i w_i exp(beta p_ij) - log M) / beta: IS with a weight for each
/// bank query (Pan et al. 2025 as docs and fit.h have it).
inline Row weighted_offsets(const Rows& probe, const Row& log_weights,
                            double beta) {
    Row offsets;
    for (size_t j = 0; j < probe.front().size(); j++) {
        long double most = -INFINITY;
        for (size_t i = 0; i < probe.size(); i++) {
            most = std::max<long double>(most,
                                         beta * probe[i][j] + log_weights[i]);
        }
        long double sum = 0;
        for (size_t i = 0; i < probe.size(); i++) {
            sum += expl(beta * static_cast<long double>(probe[i][j]) +
                        log_weights[i] - most);
        }
        const auto mean = sum / static_cast<long double>(probe.size());
        offsets.push_back(static_cast<double>((most + logl(mean)) / beta));
    }
    return offsets;
}

/// The logarithms of v of DBSN, over gallery and gallerybank, mean 1.
inline Row learned_log_weights(const Rows& targets, double beta,
                               int iterations) {
    const WideRow v = sinkhorn(targets, beta, iterations).v;
    long double mean = 0;
    for (const long double x : v)
        mean += x / static_cast<long double>(v.size());
    Row logs;
    for (const long double x : v) {
        logs.push_back(static_cast<double>(logl(x / mean)));
    }
    return logs;
}

struct Banked {
    Metric metric = Metric::inner_product;
    MatrixView gallery;
    MatrixView querybank;
    MatrixView gallerybank = {};
    Row log_weights = {};  ///< dbsn; learned where there are none
};

inline Row offsets_of(const Normalization& n, const Banked& from) {
    const auto probe_of = [&](const MatrixView& bank) {
        return similarities(from.metric, bank, from.gallery);
    };
    const Rows probe = probe_of(from.querybank);
    const bool has_second = from.gallerybank.rows > 0;
    switch (n.method) {
        case Method::is:
        case Method::dis:
            return is_offsets(probe, n.beta);
        case Method::csls:
            return csls_offsets(probe, n.neighbours);
        case Method::nnn:
            return nnn_offsets(probe, n.neighbours, n.alpha);
        case Method::cent:
            return cent_offsets(probe);
        case Method::dualis:
            return dualis_offsets(
                is_offsets(probe, n.beta), n.beta,
                is_offsets(probe_of(from.gallerybank), n.beta2), n.beta2);
        case Method::dbsn: {
            Row weights = from.log_weights;
            if (weights.empty()) {
                Rows targets = probe;
                if (has_second) {
                    const Rows more = similarities(from.metric, from.querybank,
                                                   from.gallerybank);
                    for (size_t i = 0; i < targets.size(); i++) {
                        targets[i].insert(targets[i].end(), more[i].begin(),
                                          more[i].end());
                    }
                }
                weights = learned_log_weights(targets, n.beta, n.iterations);
            }
            return weighted_offsets(probe, weights, n.beta);
        }
        default:
            return {};
    }
}

inline Row minus(const Row& raw, const Row& offsets) {
    Row result = raw;
    for (size_t j = 0; j < raw.size(); j++) result[j] -= offsets[j];
    return result;
}

}  // namespace oracle
