#pragma once

#include <functional>
#include <utility>

#include "tests/oracle.h"

/// The oracle of the other methods: each paper's formula written out in double
/// or long double precision over whole matrices of similarities, raw (queries x
/// items) and probe (bank queries x items). It shares no code with the library.

namespace oracle {

/// Scores that may leave a double's range.
using WideRow = std::vector<long double>;
using WideRows = std::vector<WideRow>;

inline Rows rows_of(const MatrixView& matrix) {
    Rows rows(matrix.rows);
    for (idx_t i = 0; i < matrix.rows; i++) {
        rows[i].assign(matrix.row(i), matrix.row(i) + matrix.d);
    }
    return rows;
}

/// An item's column of the probe.
inline Row column(const Rows& probe, size_t item) {
    Row result;
    for (const Row& row : probe) result.push_back(row[item]);
    return result;
}

/// r_j of Conneau et al. 2018 (CSLS) and Chowdhury et al. 2024 (NNN): the mean
/// of item j's K largest, of all where the bank is smaller.
inline Row nearest_means(const Rows& probe, idx_t neighbours) {
    Row result;
    for (size_t j = 0; j < probe.front().size(); j++) {
        Row sorted = column(probe, j);
        std::sort(sorted.begin(), sorted.end(), std::greater<>());
        const size_t count =
            std::min(static_cast<size_t>(neighbours), sorted.size());
        long double sum = 0;
        for (size_t i = 0; i < count; i++) sum += sorted[i];
        result.push_back(
            static_cast<double>(sum / static_cast<long double>(count)));
    }
    return result;
}

/// Conneau et al. 2018: 2 s - r_q - r_j, halved, less what is r_q's.
inline Row csls_offsets(const Rows& probe, idx_t neighbours) {
    Row offsets = nearest_means(probe, neighbours);
    for (double& r : offsets) r /= 2;
    return offsets;
}

/// Chowdhury et al. 2024: s - alpha r_j.
inline Row nnn_offsets(const Rows& probe, idx_t neighbours, double alpha) {
    Row offsets = nearest_means(probe, neighbours);
    for (double& r : offsets) r *= alpha;
    return offsets;
}

/// Suzuki et al. 2013: <q - c, g - c> = <q, g> - <c, g> and what is the same
/// for all items; <c, g_j> is the mean of p_ij.
inline Row cent_offsets(const Rows& probe) {
    Row offsets;
    for (size_t j = 0; j < probe.front().size(); j++) {
        long double sum = 0;
        for (const Row& row : probe) sum += row[j];
        offsets.push_back(
            static_cast<double>(sum / static_cast<long double>(probe.size())));
    }
    return offsets;
}

/// Wang et al. 2023, DualIS: exp(beta1 s - beta1 o1) exp(beta2 s - beta2 o2),
/// in the unit of s.
inline Row dualis_offsets(const Row& offsets1, double beta1,
                          const Row& offsets2, double beta2) {
    Row offsets;
    for (size_t j = 0; j < offsets1.size(); j++) {
        offsets.push_back((beta1 * offsets1[j] + beta2 * offsets2[j]) /
                          (beta1 + beta2));
    }
    return offsets;
}

/// Wang et al. 2023, DualDIS as their code has it: a query's factor of a bank
/// is exp(beta (s - offset)) where its raw top-1 is in the bank's activation
/// set, else s. The score is the product.
inline WideRow dualdis_scores(const Row& raw, const Row& offsets1, double beta1,
                              bool open1, const Row& offsets2, double beta2,
                              bool open2) {
    WideRow scores;
    for (size_t j = 0; j < raw.size(); j++) {
        const long double s = raw[j];
        const long double one = open1 ? expl(beta1 * (s - offsets1[j])) : s;
        const long double two = open2 ? expl(beta2 * (s - offsets2[j])) : s;
        scores.push_back(one * two);
    }
    return scores;
}

/// Dinu et al. 2015 as QB-Norm (Bogolin et al. 2022) has it: s - rank, the rank
/// of the query among the bank queries of the item, from 0.
inline Row gc_scores(const Row& raw, const Rows& probe) {
    Row scores;
    for (size_t j = 0; j < raw.size(); j++) {
        double rank = 0;
        for (const Row& row : probe) rank += row[j] > raw[j];
        scores.push_back(raw[j] - rank);
    }
    return scores;
}

/// What Sinkhorn's iterations end with.
struct Transport {
    WideRow u;  ///< of the target items
    WideRow v;  ///< of the bank queries
};

/// Pan et al. 2025, DBSN: the loop of their code (POT's sinkhorn_knopp) over
/// bank queries x target items, cost 1 - p, uniform marginals.
inline Transport sinkhorn(const Rows& targets, double beta, int iterations) {
    const size_t m = targets.size();
    const size_t n = targets.front().size();
    WideRows kernel(m, WideRow(n));
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            kernel[i][j] = expl(beta * (targets[i][j] - 1.0L));
        }
    }
    Transport result{WideRow(n, 1.0L / n), WideRow(m)};
    for (int t = 0; t < iterations; t++) {
        for (size_t i = 0; i < m; i++) {
            long double sum = 0;
            for (size_t j = 0; j < n; j++) sum += kernel[i][j] * result.u[j];
            result.v[i] = 1.0L / m / sum;
        }
        for (size_t j = 0; j < n; j++) {
            long double sum = 0;
            for (size_t i = 0; i < m; i++) sum += kernel[i][j] * result.v[i];
            result.u[j] = 1.0L / n / sum;
        }
    }
    return result;
}

/// Ranking by s - offset as by s + log(u_j) / beta: the offset, less a
/// constant that leaves the mean over items 0. `items` are the first targets.
inline Row dbsn_offsets(const Transport& transport, size_t items, double beta) {
    WideRow logs;
    long double mean = 0;
    for (size_t j = 0; j < items; j++) {
        logs.push_back(-logl(transport.u[j]) / beta);
        mean += logs[j] / static_cast<long double>(items);
    }
    Row offsets;
    for (const long double log : logs) {
        offsets.push_back(static_cast<double>(log - mean));
    }
    return offsets;
}

/// The rank of the best of some right items, from 0, the mean position of
/// those level with it.
template <class Scores>
double rank_of(const Scores& scores, const std::vector<idx_t>& right) {
    auto best = scores[right.front()];
    for (const idx_t label : right) best = std::max(best, scores[label]);
    double above = 0;
    double level = 0;
    for (const auto score : scores) {
        above += score > best;
        level += score == best;
    }
    return above + (level - 1) / 2;
}

}  // namespace oracle
