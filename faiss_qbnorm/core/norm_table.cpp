#include "faiss_qbnorm/core/norm_table.h"

#include <algorithm>
#include <cmath>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/parallel_errors.h"

namespace faiss_qbnorm {

std::string name_of(Bank bank) {
    return bank == Bank::querybank ? "querybank" : "gallerybank";
}

idx_t BankLists::known(idx_t row) const {
    const idx_t* first = labels.data() + row * length;
    return std::find(first, first + length, -1) - first;
}

bool same_bank_and_fit(const BankColumn& a, const BankColumn& b) {
    return a.bank == b.bank && a.normalization == b.normalization &&
           a.bank_size == b.bank_size &&
           a.bank_fingerprint == b.bank_fingerprint &&
           std::equal(a.log_weights.begin(), a.log_weights.end(),
                      b.log_weights.begin(), b.log_weights.end());
}

namespace {

// So that what holds of the first column holds of all: that gates can be
// decided by it, say.
void check_columns(const NormTable& table) {
    for (size_t i = 1; i < table.columns.size(); i++) {
        const BankColumn& column = table.columns[i];
        const Method method = column.normalization.method;
        const Method first = normalization_of(table).method;
        require(column_kind(method) == column_kind(first),
                "the table's columns were fitted for methods ", name_of(first),
                " and ", name_of(method), ", which share none; fit it again");
        for (size_t j = 0; j < i; j++) {
            require(table.columns[j].bank != column.bank,
                    "the table has two columns of a ", name_of(column.bank),
                    "; fit it again");
        }
    }
}

}  // namespace

void check(const NormTable& table) {
    check_columns(table);
    bool agree = table.begin >= 0 && table.begin <= table.end &&
                 table.end <= table.gallery_size && table.holes >= 0 &&
                 table.holes <= table.end - table.begin;
    const auto size = static_cast<size_t>(agree ? table.size() : 0);
    for (const BankColumn& column : table.columns) {
        const auto listed =
            static_cast<size_t>(column.bank_size * column.lists.length);
        agree = agree && column.offsets.size() == size &&
                column.activation.words().size() ==
                    ActivationSet::words_for(
                        column.has_activation() ? table.size() : 0) &&
                static_cast<idx_t>(column.log_weights.size()) ==
                    (column.has_weights() ? column.bank_size : 0) &&
                column.lists.labels.size() == listed &&
                column.lists.scores.size() == listed;
    }
    require(agree, "the table's arrays are not of its size; fit it again");
}

const BankColumn& column_of(const NormTable& table, Bank bank) {
    for (const BankColumn& column : table.columns) {
        if (column.bank == bank) return column;
    }
    fail("the table has no column of a ", name_of(bank));
}

const Normalization& normalization_of(const NormTable& table) {
    require(!table.columns.empty(), "the table has no columns");
    return table.columns.front().normalization;
}

void check_serves(const NormTable& table, Method method, Bank bank) {
    if (method == Method::none) return;
    require(method != Method::gc,
            "gc ranks by the bank itself, which a table does not hold; use "
            "qbnorm search or eval with the bank");
    const Method fitted = normalization_of(table).method;
    require(column_kind(fitted) == column_kind(method) &&
                (!is_dual(method) || table.columns.size() == 2),
            "the table was fitted for method ", name_of(fitted),
            ", which does not serve ", name_of(method), "; fit it again");
    if (!is_dual(method)) column_of(table, bank);
}

namespace {

// The product of two Inverted Softmaxes: exp(beta1 s - beta1 o1 + beta2 s -
// beta2 o2), in the unit of s.
BankColumn dual_column(const NormTable& table) {
    const BankColumn& first = column_of(table, Bank::querybank);
    const BankColumn& second = column_of(table, Bank::gallerybank);
    const double beta1 = first.beta();
    const double beta2 = second.beta();
    HugeVector<float> offsets(first.offsets.size());
    const auto size = static_cast<idx_t>(offsets.size());
#pragma omp parallel for
    for (idx_t i = 0; i < size; i++) {
        offsets[i] = static_cast<float>(
            (beta1 * first.offsets[i] + beta2 * second.offsets[i]) /
            (beta1 + beta2));
    }
    BankColumn result = first;
    result.offsets = std::move(offsets);
    return result;
}

}  // namespace

BankColumn ranking_column(const NormTable& table, Method method, Bank bank) {
    check_serves(table, method, bank);
    if (method == Method::dualis) return dual_column(table);
    if (method == Method::none) return table.columns.front();
    return column_of(table, bank);
}

float largest_offset(const BankColumn& column) {
    const float* offsets = column.offsets.data();
    const auto size = static_cast<idx_t>(column.offsets.size());
    float largest = 0;
    bool finite = true;
#pragma omp parallel for reduction(max : largest) reduction(&& : finite)
    for (idx_t i = 0; i < size; i++) {
        largest = std::max(largest, std::fabs(offsets[i]));
        finite = finite && std::isfinite(offsets[i]);
    }
    require(finite,
            "the table holds an offset of NaN or Inf; it is damaged, fit it "
            "again");
    return largest;
}

BankLists to_bank_lists(const TopLists& winners) {
    const idx_t length = winners.k();
    std::vector<idx_t> labels(winners.rows() * length, -1);
    std::vector<float> scores(winners.rows() * length,
                              -std::numeric_limits<float>::infinity());
    ParallelErrors errors;
#pragma omp parallel for
    for (idx_t row = 0; row < winners.rows(); row++) {
        errors.run([&] {
            idx_t slot = row * length;
            for (const Scored& item : winners.sorted(row)) {
                labels[slot] = item.label;
                scores[slot++] = item.score;
            }
        });
    }
    errors.rethrow();
    return {length, std::move(labels), std::move(scores)};
}

TopLists to_top_lists(const BankLists& lists, idx_t bank_size) {
    TopLists result(bank_size, lists.length);
#pragma omp parallel for
    for (idx_t row = 0; row < bank_size; row++) {
        // The worst first: none moves another.
        for (idx_t i = lists.known(row) - 1; i >= 0; i--) {
            const idx_t slot = row * lists.length + i;
            result.offer(row, {lists.scores[slot], lists.labels[slot]});
        }
    }
    return result;
}

ActivationSet activation_from_lists(const BankLists& lists, idx_t activation_k,
                                    idx_t begin, idx_t end) {
    std::vector<idx_t> items;
    const idx_t taken = std::min(activation_k, lists.length);
    for (size_t row = 0; row < lists.labels.size(); row += lists.length) {
        for (idx_t i = 0; i < taken; i++) {
            const idx_t label = lists.labels[row + i];
            if (label >= begin && label < end) items.push_back(label - begin);
        }
    }
    return {end - begin, items};
}

std::vector<idx_t> rows_to_search(const NormTable& table,
                                  const BankColumn& column) {
    const idx_t needed =
        std::min(column.normalization.activation_k, table.items());
    std::vector<idx_t> rows;
    if (!column.has_activation()) return rows;
    for (idx_t row = 0; row < column.bank_size; row++) {
        if (column.lists.known(row) < needed) rows.push_back(row);
    }
    return rows;
}

void decide_activation(NormTable& table) {
    for (BankColumn& column : table.columns) {
        if (!column.has_activation()) continue;
        require(rows_to_search(table, column).empty(),
                "too many items were removed: a bank list no longer says which "
                "are its query's best; fit the table again");
        column.activation = activation_from_lists(
            column.lists, column.normalization.activation_k, table.begin,
            table.end);
    }
}

}  // namespace faiss_qbnorm
