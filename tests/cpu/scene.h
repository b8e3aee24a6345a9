#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <random>

#include "faiss_qbnorm/core/formula.h"
#include "faiss_qbnorm/cpu/bound.h"
#include "faiss_qbnorm/cpu/exact_scores.h"
#include "tests/cpu/hard_rows.h"
#include "tests/data.h"

/// A gallery in two blocks of which the first has been searched, and a full
/// sort of all of it.

namespace scene {

using namespace faiss_qbnorm;

enum class Rows {
    gaussian,
    ties,    ///< seven distinct vectors only
    hard,    ///< hard_rows.h
    beyond,  ///< some so long that products are infinite or NaN
};

inline Matrix rows_of(Rows kind, idx_t rows, int d, std::uint32_t seed) {
    if (kind == Rows::hard) return hard::rows(rows, d, seed);
    Matrix matrix = testdata::gaussian(rows, d, seed);
    for (idx_t i = 0; i < rows; i++) {
        float* row = matrix.data.data() + i * d;
        if (kind == Rows::ties) std::copy_n(matrix.view().row(i % 7), d, row);
        if (kind != Rows::beyond || i % 5 != 0) continue;
        for (int j = 0; j < d; j++) row[j] *= i % 2 == 0 ? 1e30F : 1e38F;
    }
    return matrix;
}

/// A table of labels [begin, begin + n) with offsets of about `scale`.
inline NormTable table_of(idx_t begin, idx_t n, int d, Metric metric,
                          float scale) {
    std::mt19937 random(9);
    std::vector<float> offsets(n);
    // Few distinct ones: equal vectors tie by s - offset, too.
    for (float& x : offsets) x = scale * static_cast<float>(random() % 5);
    NormTable table{d, metric, begin + n + 1, begin, begin + n, 0, {}, 0};
    BankColumn column;
    column.offsets = offsets;
    column.activation = ActivationSet(n, {});
    table.columns.push_back(column);
    return table;
}

struct Scene {
    static constexpr idx_t first_label = 100;

    Metric metric;
    Matrix gallery;
    Matrix queries;
    MatrixView query_view;
    std::vector<idx_t> labels;  ///< of the gallery's rows, in no order
    idx_t earlier;              ///< rows of the block that was searched
    GalleryBlock block;         ///< the rest
    CpuTable table;
    ExactScores exact[2];  ///< raw, normalised

    Scene(Metric metric, const Matrix& gallery, const Matrix& queries,
          idx_t earlier, float offset_scale = 0.1F)
        : metric(metric),
          gallery(gallery),
          queries(queries),
          query_view(this->queries.view()),
          labels(gallery.rows),
          earlier(earlier),
          block{this->gallery.view().slice(earlier, gallery.rows), 0,
                labels.data() + earlier},
          table(bound(table_of(first_label, gallery.rows, gallery.d, metric,
                               offset_scale))),
          exact{{metric, query_view, block, nullptr},
                {metric, query_view, block, &table}} {
        std::iota(labels.begin(), labels.end(), first_label);
        std::mt19937 random(10);
        std::shuffle(labels.begin(), labels.end(), random);
    }
    static CpuTable bound(const NormTable& table) {
        return {table, table.columns[0]};
    }
    Scene(const Scene&) = delete;
    Scene& operator=(const Scene&) = delete;

    idx_t rows() const { return block.vectors.rows; }

    /// Of a row of the whole gallery.
    Scored score(idx_t query, idx_t row, bool normalised) const {
        const float raw = exact_score(metric, query_view.row(query),
                                      gallery.view().row(row), gallery.d);
        const float offset = table.column.offsets[labels[row] - first_label];
        return {normalised ? raw - offset : raw, labels[row]};
    }

    /// What a search of the earlier block left.
    TopLists known(idx_t k, bool normalised) const {
        TopLists lists(queries.rows, k);
        for (idx_t query = 0; query < queries.rows; query++) {
            for (idx_t row = 0; row < earlier; row++) {
                lists.offer(query, score(query, row, normalised));
            }
        }
        return lists;
    }

    /// The whole gallery, the best first, ties by label.
    std::vector<Scored> sorted(idx_t query, bool normalised) const {
        std::vector<Scored> all;
        for (idx_t row = 0; row < gallery.rows; row++) {
            all.push_back(score(query, row, normalised));
        }
        std::sort(all.begin(), all.end(), [](const Scored& a, const Scored& b) {
            return a.score != b.score ? a.score > b.score : a.label < b.label;
        });
        return all;
    }

    /// Expects the first k of the sort of every query.
    void expect_best(const TopLists& lists, bool normalised) const {
        for (idx_t query = 0; query < queries.rows; query++) {
            const std::vector<Scored> got = lists.sorted(query);
            const std::vector<Scored> all = sorted(query, normalised);
            ASSERT_EQ(got.size(), std::min<size_t>(all.size(), lists.k()));
            for (size_t i = 0; i < got.size(); i++) {
                ASSERT_EQ(got[i].label, all[i].label)
                    << "query " << query << ", slot " << i << ", normalised "
                    << normalised;
                ASSERT_EQ(got[i].score, all[i].score);
            }
        }
    }
};

}  // namespace scene
