#include "faiss_qbnorm/fit/similarity_column.h"

#include <cmath>
#include <functional>
#include <limits>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/parallel_errors.h"
#include "faiss_qbnorm/fit.h"
#include "faiss_qbnorm/fit/sinkhorn.h"

namespace faiss_qbnorm {

namespace {

/// The p_ij of one item.
using Scores = std::span<const float>;
/// The offset of an item.
using Formula = std::function<double(Scores)>;

double is_offset(Scores scores, double beta) {
    LogMeanExp sums{*std::max_element(scores.begin(), scores.end())};
    for (const float p : scores) {
        // Not lost beside 1: the largest score's exp is 1, its expm1 is 0.
        const double expm1 = std::expm1(beta * (p - sums.shift));
        sums.add(expm1, expm1 + 1, 1);
    }
    return sums.is_offset(beta);
}

double weighted_offset(Scores scores, double beta,
                       const SharedArray<float>& log_weights) {
    double most = -std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < scores.size(); i++) {
        most = std::max(most, beta * scores[i] + log_weights[i]);
    }
    double sum = 0;
    for (size_t i = 0; i < scores.size(); i++) {
        sum += std::exp(beta * scores[i] + log_weights[i] - most);
    }
    return (most + std::log(sum / static_cast<double>(scores.size()))) / beta;
}

// Of the `count` largest.
double largest_mean(Scores scores, idx_t count) {
    std::vector<float> sorted(scores.begin(), scores.end());
    const auto end = sorted.begin() + count;
    std::partial_sort(sorted.begin(), end, sorted.end(), std::greater<>());
    double sum = 0;
    for (auto p = sorted.begin(); p != end; ++p) sum += *p;
    return sum / static_cast<double>(count);
}

double mean(Scores scores) {
    double sum = 0;
    for (const float p : scores) sum += p;
    return sum / static_cast<double>(scores.size());
}

Formula formula_of(const BankColumn& column) {
    const Normalization& normalization = column.normalization;
    const double beta = column.beta();
    const idx_t neighbours =
        std::min(normalization.neighbours, column.bank_size);
    switch (column_kind(normalization.method)) {
        case Method::csls:
            return [=](Scores p) { return largest_mean(p, neighbours) / 2; };
        case Method::nnn: {
            const double alpha = normalization.alpha;
            return
                [=](Scores p) { return alpha * largest_mean(p, neighbours); };
        }
        case Method::cent:
            return mean;
        case Method::dbsn:
            return [=, weights = column.log_weights](Scores p) {
                return weighted_offset(p, beta, weights);
            };
        default:
            return [=](Scores p) { return is_offset(p, beta); };
    }
}

// Items [begin, end), as read: block[i * M + r]. Labels ascend, so that an item
// level with the last of a list stays out.
void add_to_lists(const float* block, idx_t begin, idx_t end, TopLists& lists) {
    const idx_t rows = lists.rows();
    constexpr idx_t strip = 256;
#pragma omp parallel for
    for (idx_t r0 = 0; r0 < rows; r0 += strip) {
        const idx_t r1 = std::min(r0 + strip, rows);
        for (idx_t i = begin; i < end; i++) {
            const float* scores = block + (i - begin) * rows;
            for (idx_t r = r0; r < r1; r++) {
                if (!lists.full(r) || scores[r] > lists.threshold(r)) {
                    lists.offer(r, {scores[r], i});
                }
            }
        }
    }
}

void check_inputs(const Similarities& bank, const Normalization& normalization,
                  idx_t list_length) {
    check(normalization);
    require(
        normalization.method != Method::gc,
        "gc ranks by the bank itself and has no table; use qbnorm search or "
        "eval with the bank");
    require(list_length == 0 || list_length >= normalization.activation_k,
            "list_length is ", list_length,
            " but must be at least activation_k");
    require(bank.rows() > 0, bank.name(), ": the bank is empty");
}

SharedArray<float> learned_weights(const Similarities& bank,
                                   const Normalization& normalization) {
    const Similarities* targets[] = {&bank};
    return sinkhorn_log_weights(targets, normalization.beta,
                                normalization.iterations);
}

}  // namespace

BankColumn fit_column(const Similarities& bank, Bank which,
                      const Normalization& normalization, idx_t list_length,
                      const SharedArray<float>& log_weights) {
    check_inputs(bank, normalization, list_length);
    const idx_t rows = bank.rows();
    const idx_t items = bank.items();
    BankColumn column;
    column.bank = which;
    column.normalization = normalization;
    column.bank_size = rows;
    if (normalization.method == Method::dbsn) {
        column.log_weights = log_weights.empty()
                                 ? learned_weights(bank, normalization)
                                 : log_weights;
        require(static_cast<idx_t>(column.log_weights.size()) == rows,
                bank.name(), ": has ", rows, " bank queries but ",
                column.log_weights.size(), " weights were given");
    }
    if (list_length == 0) {
        list_length = std::min(default_list_length(normalization),
                               std::max<idx_t>(items, 1));
    }

    const Formula formula = formula_of(column);
    TopLists winners(rows, column.has_activation() ? list_length : 0);
    HugeVector<float> offsets(items);
    const idx_t step = block_items(bank);
    std::vector<float> block(std::min(step, items) * rows);
    for (idx_t begin = 0; begin < items; begin += step) {
        const idx_t end = std::min(begin + step, items);
        bank.read(begin, end, block.data());
        ParallelErrors errors;
#pragma omp parallel for schedule(dynamic)
        for (idx_t i = begin; i < end; i++) {
            errors.run([&] {
                const float* scores = block.data() + (i - begin) * rows;
                offsets[i] = static_cast<float>(
                    formula({scores, static_cast<size_t>(rows)}));
                require(std::isfinite(offsets[i]), bank.name(),
                        ": the offset of item ", i,
                        " overflows float32; scale the similarities down");
            });
        }
        errors.rethrow();
        if (winners.k() > 0) add_to_lists(block.data(), begin, end, winners);
    }
    column.offsets = std::move(offsets);
    if (column.has_activation()) {
        column.lists = to_bank_lists(winners);
        column.activation = activation_from_lists(
            column.lists, normalization.activation_k, 0, items);
    }
    return column;
}

NormTable fit_similarities(const Similarities& querybank,
                           const Similarities* gallerybank,
                           const Normalization& normalization) {
    const Method method = normalization.method;
    require(!is_dual(method) || gallerybank, "method ", name_of(method),
            " needs a gallerybank");
    const idx_t items = querybank.items();
    if (gallerybank) {
        require(gallerybank->items() == items, gallerybank->name(), ": has ",
                gallerybank->items(), " items but ", querybank.name(), " has ",
                items, "; give matrices of one gallery");
    }
    NormTable table;
    table.gallery_size = items;
    table.end = items;
    table.columns.push_back(
        fit_column(querybank, Bank::querybank, normalization));
    if (is_dual(method)) {
        table.columns.push_back(
            fit_column(*gallerybank, Bank::gallerybank, normalization));
    }
    return table;
}

}  // namespace faiss_qbnorm
