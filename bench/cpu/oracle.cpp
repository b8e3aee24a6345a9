#include "bench/cpu/oracle.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "faiss_qbnorm/core/error.h"

namespace bench {

using faiss_qbnorm::require;

namespace {

constexpr double nothing = -std::numeric_limits<double>::infinity();
constexpr idx_t checked_items = 48;
constexpr idx_t checked_bank_rows = 4;

/// The best two of a query's raw scores.
struct First {
    idx_t label = -1;
    double score = nothing;
    double second = nothing;

    explicit First(const std::vector<double>& scores) {
        for (size_t i = 0; i < scores.size(); i++) {
            if (scores[i] > score) {
                second = score;
                score = scores[i];
                label = static_cast<idx_t>(i);
            } else {
                second = std::max(second, scores[i]);
            }
        }
    }
};

std::vector<Scored> bank_list(const faiss_qbnorm::BankLists& lists, idx_t row) {
    std::vector<Scored> list;
    for (idx_t i = row * lists.length; i < (row + 1) * lists.length; i++) {
        if (lists.labels[i] >= 0) {
            list.push_back({lists.scores[i], lists.labels[i]});
        }
    }
    return list;
}

}  // namespace

std::vector<Scored> Answered::list(idx_t query) const {
    std::vector<Scored> result;
    for (idx_t i = query * k; i < (query + 1) * k && labels[i] >= 0; i++) {
        result.push_back({scores[i], labels[i]});
    }
    return result;
}

RawScores products(const MatrixView& gallery, const MatrixView& queries) {
    return [gallery, queries](idx_t query) {
        std::vector<double> scores(gallery.rows);
#pragma omp parallel for
        for (idx_t i = 0; i < gallery.rows; i++) {
            scores[i] = product(queries.row(query), gallery.row(i), gallery.d);
        }
        return scores;
    };
}

void verify_answers(const RawScores& raw, const BankColumn& column,
                    Method method, const std::vector<idx_t>& rows,
                    const Answered& answered, double tolerance) {
    for (const idx_t row : rows) {
        std::vector<double> scores = raw(row);
        const First first(scores);
        // Which item opens the gate, float cannot tell.
        if (method == Method::dis && first.score - first.second <= tolerance) {
            continue;
        }
        const bool open =
            method == Method::is || column.activation.contains(first.label);
        if (open) {
            for (size_t i = 0; i < scores.size(); i++) {
                scores[i] -= column.offsets[i];
            }
        }
        const auto list = answered.list(row);
        const idx_t eligible = std::count_if(
            scores.begin(), scores.end(), [](double s) { return s > nothing; });
        require(
            static_cast<idx_t>(list.size()) == std::min(answered.k, eligible),
            "query ", row, " was given ", list.size(), " items of ", eligible);
        verify_list(
            static_cast<idx_t>(scores.size()),
            [&](idx_t item) { return scores[item]; }, row, list, tolerance);
    }
}

double verify_table(const NormTable& table, const MatrixView& gallery,
                    const MatrixView& bank, double tolerance) {
    const BankColumn& column = table.columns.front();
    const double error = verify_offsets(
        gallery, bank, sample(gallery.rows, checked_items),
        column.normalization.beta, column.offsets.data(), tolerance);
    for (const idx_t row : sample(bank.rows, checked_bank_rows)) {
        const auto list = bank_list(column.lists, row);
        require(static_cast<idx_t>(list.size()) ==
                    std::min(column.lists.length, gallery.rows),
                "bank query ", row, " lists ", list.size(), " items");
        verify_list(
            gallery.rows,
            [&](idx_t item) {
                return product(bank.row(row), gallery.row(item), gallery.d);
            },
            row, list, float_rounding);
    }
    std::set<idx_t> active;
    for (idx_t row = 0; row < bank.rows; row++) {
        const auto list = bank_list(column.lists, row);
        for (idx_t i = 0; i < column.normalization.activation_k; i++) {
            active.insert(list[i].label);
        }
    }
    require(static_cast<idx_t>(active.size()) == column.activation.count(),
            "the activation set has ", column.activation.count(),
            " items instead of ", active.size());
    for (const idx_t item : active) {
        require(column.activation.contains(item), "item ", item,
                " is missing in the activation set");
    }
    return error;
}

}  // namespace bench
