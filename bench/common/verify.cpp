#include "bench/common/verify.h"

#include <algorithm>
#include <cmath>

#include "faiss_qbnorm/core/error.h"

namespace bench {

using faiss_qbnorm::fail;
using faiss_qbnorm::require;

double product(const float* a, const float* b, int d) {
    double sum = 0;
    for (int i = 0; i < d; i++) sum += double{a[i]} * b[i];
    return sum;
}

std::vector<idx_t> sample(idx_t rows, idx_t count) {
    std::vector<idx_t> result;
    for (idx_t i = 0; i < count; i++) {
        const idx_t row = i * (rows - 1) / std::max<idx_t>(count - 1, 1);
        if (result.empty() || result.back() != row) result.push_back(row);
    }
    return result;
}

void verify_list(idx_t items, const RightScore& right, idx_t query,
                 const std::vector<Scored>& list, double tolerance) {
    require(!list.empty(), "query ", query, " was given no items");
    const double bar = list.back().score + tolerance;
    std::vector<idx_t> labels;
    idx_t listed = 0;
    for (size_t i = 0; i < list.size(); i++) {
        const auto [found, label] = list[i];
        require(label >= 0 && label < items, "query ", query,
                " was given label ", label);
        const double score = right(label);
        // Not "> tolerance", which NaN would pass.
        require(std::fabs(score - found) <= tolerance, "query ", query,
                ": item ", label, " was scored ", found, " instead of ", score);
        require(i == 0 || found <= list[i - 1].score, "query ", query,
                ": item ", label, " is out of order");
        listed += score > bar;
        labels.push_back(label);
    }
    std::sort(labels.begin(), labels.end());
    require(std::adjacent_find(labels.begin(), labels.end()) == labels.end(),
            "query ", query, " was given an item twice");
    // As many of all are above the last of the list as of the list.
    idx_t above = 0;
#pragma omp parallel for reduction(+ : above)
    for (idx_t i = 0; i < items; i++) above += right(i) > bar;
    require(above == listed, "query ", query, ": ", above, " items are above ",
            bar, " but ", listed, " of its list");
}

void verify_lists(const MatrixView& gallery, const MatrixView& queries,
                  const std::vector<idx_t>& rows, const float* offsets,
                  const faiss_qbnorm::TopLists& lists) {
    for (const idx_t row : rows) {
        const std::vector<Scored> list = lists.sorted(row);
        const idx_t wanted = std::min(lists.k(), gallery.rows);
        require(static_cast<idx_t>(list.size()) == wanted && wanted > 0,
                "query ", row, " was given ", list.size(), " items instead of ",
                wanted);
        const auto right = [&](idx_t item) {
            return product(queries.row(row), gallery.row(item), gallery.d) -
                   (offsets ? offsets[item] : 0);
        };
        verify_list(gallery.rows, right, row, list, float_rounding);
    }
}

double verify_offsets(const MatrixView& gallery, const MatrixView& bank,
                      const std::vector<idx_t>& rows, double beta,
                      const float* offsets, double tolerance) {
    double largest = 0;
    for (const idx_t item : rows) {
        double sum = 0;  // of exp(beta s), which double holds for |s| <= 1
#pragma omp parallel for reduction(+ : sum)
        for (idx_t i = 0; i < bank.rows; i++) {
            sum += std::exp(beta *
                            product(bank.row(i), gallery.row(item), gallery.d));
        }
        const double right =
            std::log(sum / static_cast<double>(bank.rows)) / beta;
        const double error = std::fabs(offsets[item] - right);
        // Not "> tolerance", which NaN would pass.
        if (!(error <= tolerance)) {
            fail("the offset of item ", item, " is ", offsets[item],
                 " instead of ", right);
        }
        largest = std::max(largest, error);
    }
    return largest;
}

}  // namespace bench
