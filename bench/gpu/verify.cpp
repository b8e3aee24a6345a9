#include "bench/gpu/verify.h"

#include <algorithm>
#include <cmath>

#include "faiss_qbnorm/core/error.h"

namespace bench {

namespace {

using faiss_qbnorm::fail;
using faiss_qbnorm::require;
using faiss_qbnorm::Scored;

/// Of float scores and offsets of about 1.
constexpr double rounding = 3e-7;

struct Ranked {
    const MatrixView& gallery;
    const float* query;
    const float* offsets;

    double score(idx_t item) const {
        return product(query, gallery.row(item), gallery.d) -
               (offsets ? offsets[item] : 0);
    }
};

/// As many of the gallery are above the last of the list as of the list, whose
/// items are right and differ: nothing is missing.
void verify_list(const Ranked& ranked, idx_t query,
                 const std::vector<Scored>& list) {
    const double bar = list.back().score + rounding;
    std::vector<idx_t> labels;
    idx_t listed = 0;
    for (const Scored& item : list) {
        require(item.label >= 0 && item.label < ranked.gallery.rows, "query ",
                query, " was given label ", item.label);
        const double score = ranked.score(item.label);
        require(std::fabs(score - item.score) <= rounding, "query ", query,
                ": item ", item.label, " was scored ", item.score,
                " instead of ", score);
        listed += score > bar;
        labels.push_back(item.label);
    }
    std::sort(labels.begin(), labels.end());
    require(std::adjacent_find(labels.begin(), labels.end()) == labels.end(),
            "query ", query, " was given an item twice");
    idx_t above = 0;
#pragma omp parallel for reduction(+ : above)
    for (idx_t i = 0; i < ranked.gallery.rows; i++) {
        above += ranked.score(i) > bar;
    }
    require(above == listed, "query ", query, ": ", above,
            " items of the gallery are above ", bar, " but ", listed,
            " of its list");
}

}  // namespace

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

void verify_lists(const MatrixView& gallery, const MatrixView& queries,
                  const std::vector<idx_t>& rows, const float* offsets,
                  const faiss_qbnorm::TopLists& lists) {
    for (const idx_t row : rows) {
        const std::vector<Scored> list = lists.sorted(row);
        const idx_t wanted = std::min(lists.k(), gallery.rows);
        require(static_cast<idx_t>(list.size()) == wanted && wanted > 0,
                "query ", row, " was given ", list.size(), " items instead of ",
                wanted);
        verify_list({gallery, queries.row(row), offsets}, row, list);
    }
}

void verify_offsets(const MatrixView& gallery, const MatrixView& bank,
                    const std::vector<idx_t>& rows, double beta,
                    const float* offsets, double tolerance) {
    for (const idx_t item : rows) {
        double sum = 0;  // of exp(beta s), which double holds for |s| <= 1
#pragma omp parallel for reduction(+ : sum)
        for (idx_t i = 0; i < bank.rows; i++) {
            sum += std::exp(beta *
                            product(bank.row(i), gallery.row(item), gallery.d));
        }
        const double right =
            std::log(sum / static_cast<double>(bank.rows)) / beta;
        // Not "> tolerance", which NaN would pass.
        if (!(std::fabs(offsets[item] - right) <= tolerance)) {
            fail("the offset of item ", item, " is ", offsets[item],
                 " instead of ", right);
        }
    }
}

}  // namespace bench
