#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "faiss_qbnorm/core/formula.h"
#include "tests/data.h"

/// Similarities that are hard: ties, extremes, banks and galleries of one.

namespace testdata {

using faiss_qbnorm::Metric;

struct Scene {
    std::string name;
    Matrix queries;  ///< similarities, queries x items
    Matrix querybank;
    Matrix gallerybank;

    friend void PrintTo(const Scene& scene, std::ostream* out) {
        *out << scene.name;
    }
};

inline std::string test_name(const testing::TestParamInfo<Scene>& info) {
    std::string name = info.param.name;
    std::replace(name.begin(), name.end(), ' ', '_');
    return name;
}

inline Matrix scores(Metric metric, const Matrix& rows, const Matrix& items) {
    Matrix result{{}, rows.rows, static_cast<int>(items.rows)};
    for (idx_t i = 0; i < rows.rows; i++) {
        for (idx_t j = 0; j < items.rows; j++) {
            result.data.push_back(faiss_qbnorm::exact_score(
                metric, rows.view().row(i), items.view().row(j), rows.d));
        }
    }
    return result;
}

inline Scene scene(const std::string& name, Metric metric, const Matrix& items,
                   const Matrix& queries, const Matrix& querybank,
                   const Matrix& gallerybank) {
    return {name, scores(metric, queries, items),
            scores(metric, querybank, items),
            scores(metric, gallerybank, items)};
}

/// All numbers the same.
inline Scene constant(const std::string& name, float value, idx_t items) {
    const auto matrix = [&](idx_t rows) {
        return Matrix{std::vector<float>(rows * items, value), rows,
                      static_cast<int>(items)};
    };
    return {name, matrix(4), matrix(7), matrix(3)};
}

/// A few different numbers, so that there are ties everywhere.
inline Matrix coarse(const Matrix& matrix) {
    Matrix result = matrix;
    for (float& x : result.data) x = std::round(2 * x) / 2;
    return result;
}

inline std::vector<Scene> scenes() {
    constexpr Metric ip = Metric::inner_product;
    std::vector<Scene> all;
    // More than a strip of queries; hubs.
    all.push_back(scene("unit", ip, unit(90, 16, 1), unit(300, 16, 2),
                        unit(120, 16, 3), unit(50, 16, 4)));
    all.push_back(scene("l2", Metric::l2, unit(60, 16, 5), unit(20, 16, 6),
                        unit(40, 16, 7), unit(30, 16, 8)));
    all.push_back({"gaussian", gaussian(25, 40, 9), gaussian(33, 40, 10),
                   gaussian(21, 40, 11)});
    all.push_back({"ties", coarse(gaussian(25, 40, 12)),
                   coarse(gaussian(33, 40, 13)), coarse(gaussian(21, 40, 14))});
    Matrix twice = unit(40, 16, 15);  // items 20 + i and i are the same
    std::copy_n(twice.data.begin(), 20 * 16, twice.data.begin() + 20 * 16);
    all.push_back(scene("duplicates", ip, twice, unit(30, 16, 16),
                        unit(25, 16, 17), unit(20, 16, 18)));
    all.push_back({"negative", unit(10, 30, 19, -3), unit(12, 30, 20, -3),
                   unit(8, 30, 21, -3)});
    for (Matrix* m : {&all.back().queries, &all.back().querybank,
                      &all.back().gallerybank}) {
        for (float& x : m->data) x = -std::fabs(x);
    }
    all.push_back({"one bank row", gaussian(9, 20, 22), gaussian(1, 20, 23),
                   gaussian(1, 20, 24)});
    all.push_back({"one item", gaussian(9, 1, 25), gaussian(12, 1, 26),
                   gaussian(7, 1, 27)});
    all.push_back(constant("zeros", 0, 10));
    all.push_back(constant("all equal", 0.3F, 10));
    all.push_back(constant("all below zero", -0.3F, 1));
    return all;
}

}  // namespace testdata
