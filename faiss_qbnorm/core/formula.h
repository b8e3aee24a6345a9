#pragma once

#include <bit>
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

/// exp(x) - 1 for x <= 0 without a branch, so that loops over it vectorise.
/// Relative error below 1e-13 (x near 0 included). x may be -infinity.
inline double expm1_nonpositive(double x) {
    // x = n ln2 + r, |r| <= ln2 / 2; below -50 the result is -1 in double.
    x = x < -50.0 ? -50.0 : x;
    constexpr double round_to_integer = 0x1.8p52;
    const double shifted = x * 1.4426950408889634 + round_to_integer;
    const double n = shifted - round_to_integer;
    const double r = (x - n * 0x1.62e42fee00000p-1) - n * 0x1.a39ef35793c76p-33;
    // Taylor series of (exp(r) - 1) / r.
    double p = 1.0 / 479001600;
    p = p * r + 1.0 / 39916800;
    p = p * r + 1.0 / 3628800;
    p = p * r + 1.0 / 362880;
    p = p * r + 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 0.5;
    p = (p * r + 1.0) * r;
    // The low bits of `shifted` are n: moved into the exponent they make 2^n.
    const auto bits = std::bit_cast<std::uint64_t>(shifted);
    const double power =
        std::bit_cast<double>((bits << 52) + std::bit_cast<std::uint64_t>(1.0));
    return power * p + (power - 1.0);
}

/// The scores of one gallery item against `count` bank queries, folded into
/// what log(mean(exp(beta s))) needs. Two sums, because either alone cancels:
/// exp - 1 keeps the digits as beta -> 0 (the mean of s), exp keeps them where
/// one score of billions stands out.
struct LogMeanExp {
    double max = -std::numeric_limits<double>::infinity();
    double sum_expm1 = 0;  ///< of exp(beta (s - max)) - 1, in [-count, 0]
    double sum_exp = 0;    ///< of exp(beta (s - max)), in [1, count]
    double count = 0;

    LogMeanExp() = default;

    /// Of few scores (a tile), from the sum of exp(beta (s - max)) - 1.
    LogMeanExp(double max, double sum_expm1, double count)
        : max(max),
          sum_expm1(sum_expm1),
          sum_exp(sum_expm1 + count),
          count(count) {}

    void merge(const LogMeanExp& other, double beta) {
        const double new_max = max > other.max ? max : other.max;
        LogMeanExp lowered = other;
        lowered.lower_to(new_max, beta);
        lower_to(new_max, beta);
        sum_expm1 += lowered.sum_expm1;
        sum_exp += lowered.sum_exp;
        count += lowered.count;
    }

    /// The Inverted Softmax offset (logsumexp_i(beta s_i) - log M) / beta, in
    /// the unit of s: ranking by s - offset ranks as exp(beta s) / sum_i
    /// exp(beta s_i) does (Bogolin et al. 2022, eq. 4).
    double is_offset(double beta) const {
        const double mean = sum_expm1 / count;
        const double log_mean =
            mean < -0.5 ? std::log(sum_exp / count) : std::log1p(mean);
        return max + log_mean / beta;
    }

  private:
    // The same scores seen from a maximum that is not lower.
    void lower_to(double new_max, double beta) {
        if (count > 0) {
            const double lift = beta * (max - new_max);
            sum_expm1 = std::exp(lift) * sum_expm1 + count * std::expm1(lift);
            sum_exp *= std::exp(lift);
        }
        max = new_max;
    }
};

}  // namespace faiss_qbnorm
