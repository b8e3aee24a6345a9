#pragma once

#include <map>

#include "faiss_qbnorm/similarities/matrix_similarities.h"
#include "tests/data.h"
#include "tests/oracle.h"

/// The oracle of the tests of tune/: spreads and choices of beta, written out
/// naively in double precision with whole matrices and full sorts, and no code
/// of faiss_qbnorm/tune.

namespace tune_oracle {

using faiss_qbnorm::idx_t;
using faiss_qbnorm::Matrix;
using faiss_qbnorm::MatrixSimilarities;
using faiss_qbnorm::Method;
using faiss_qbnorm::Metric;
using oracle::Row;
using oracle::Rows;

/// s rounded to float32, as similarities are read: rows x items.
inline Matrix similarities(const Matrix& rows, const Matrix& gallery,
                           Metric metric = Metric::inner_product) {
    Matrix result{{}, rows.rows, static_cast<int>(gallery.rows)};
    const Rows exact =
        oracle::similarities(metric, rows.view(), gallery.view());
    for (const Row& row : exact) {
        for (const double s : row) {
            result.data.push_back(static_cast<float>(s));
        }
    }
    return result;
}

inline Rows rows_of(const Matrix& matrix) {
    Rows result(matrix.rows);
    for (idx_t i = 0; i < matrix.rows; i++) {
        result[i].assign(matrix.view().row(i), matrix.view().row(i) + matrix.d);
    }
    return result;
}

/// The sum over k in {1, 5, 10} of the Shannon entropy of N_k / sum(N_k), by
/// each query's scores.
inline double spread(const Rows& scores) {
    double sum = 0;
    for (const size_t k : {1, 5, 10}) {
        std::map<idx_t, double> times;
        double all = 0;
        for (const Row& row : scores) {
            const auto order = oracle::ranking(row);
            for (size_t i = 0; i < std::min(k, order.size()); i++) {
                times[order[i]]++;
                all++;
            }
        }
        for (const auto& [item, n] : times) {
            sum -= n / all * std::log(n / all);
        }
    }
    return sum;
}

/// The scores of every query under a method, rounded as the library rounds.
inline Rows ranked_by(Method method, const Rows& queries, const Rows& bank,
                      double beta, idx_t activation_k = 1) {
    const Row offsets = oracle::is_offsets(bank, beta);
    const auto active = oracle::activation_set(bank, activation_k);
    Rows result;
    for (const Row& row : queries) {
        result.push_back(oracle::method_scores(method, row, offsets, active));
    }
    return result;
}

/// The mean over items of the standard deviation over the rows.
inline double mean_deviation(const Rows& bank) {
    const auto items = bank.front().size();
    double sum = 0;
    for (size_t j = 0; j < items; j++) {
        double mean = 0;
        for (const Row& row : bank) mean += row[j];
        mean /= static_cast<double>(bank.size());
        double variance = 0;
        for (const Row& row : bank) {
            variance += (row[j] - mean) * (row[j] - mean);
        }
        sum += std::sqrt(variance / static_cast<double>(bank.size()));
    }
    return sum / static_cast<double>(items);
}

}  // namespace tune_oracle
