#pragma once

#include <cmath>
#include <limits>

#include "faiss_qbnorm/core/types.h"

/// The arithmetic that every engine shares, so that they cannot drift apart.

namespace faiss_qbnorm {

/// A score and its item. An empty slot has label -1.
struct Scored {
    float score = -std::numeric_limits<float>::infinity();
    idx_t label = -1;
};

/// The ranking order: the higher score first, ties to the lower label.
inline bool ranks_before(const Scored& a, const Scored& b) {
    return a.score > b.score || (a.score == b.score && a.label < b.label);
}

/// The score that ranks: summed in double in one fixed order and rounded once,
/// so that it depends on neither batch, block, thread count nor engine.
inline float exact_score(Metric metric, const float* a, const float* b, int d) {
    constexpr int lanes = 8;
    double sums[lanes] = {};
    const auto add = [&](int lane, double x, double y) {
        const double difference = x - y;
        sums[lane] += metric == Metric::l2 ? -difference * difference : x * y;
    };
    int i = 0;
    for (; i + lanes <= d; i += lanes) {
        for (int lane = 0; lane < lanes; lane++) {
            add(lane, a[i + lane], b[i + lane]);
        }
    }
    for (int lane = 0; i + lane < d; lane++)
        add(lane, a[i + lane], b[i + lane]);
    return static_cast<float>(((sums[0] + sums[4]) + (sums[2] + sums[6])) +
                              ((sums[1] + sums[5]) + (sums[3] + sums[7])));
}

/// The scores of one gallery item against `count` bank queries, folded into
/// what log(mean(exp(beta s))) needs. Two sums, because either alone cancels:
/// exp - 1 keeps the digits as beta -> 0 (the mean of s), exp keeps them where
/// one score of billions stands out.
struct LogMeanExp {
    double shift;          ///< one of the scores, or near them
    double sum_expm1 = 0;  ///< of exp(beta (s - shift)) - 1
    double sum_exp = 0;    ///< of exp(beta (s - shift))
    double count = 0;

    void add(double expm1, double exp, double scores) {
        sum_expm1 += expm1;
        sum_exp += exp;
        count += scores;
    }

    /// The same scores seen from a shift that is not lower.
    void raise_shift(double new_shift, double beta) {
        const double lift = beta * (shift - new_shift);
        sum_expm1 = std::exp(lift) * sum_expm1 + count * std::expm1(lift);
        sum_exp *= std::exp(lift);
        shift = new_shift;
    }

    /// The Inverted Softmax offset (logsumexp_i(beta s_i) - log M) / beta, in
    /// the unit of s: ranking by s - offset ranks as exp(beta s) / sum_i
    /// exp(beta s_i) does (Bogolin et al. 2022, eq. 4).
    double is_offset(double beta) const {
        const double mean = sum_expm1 / count;
        const double log_mean =
            mean < -0.5 ? std::log(sum_exp / count) : std::log1p(mean);
        return shift + log_mean / beta;
    }
};

}  // namespace faiss_qbnorm
