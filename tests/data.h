#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "faiss_qbnorm/core/types.h"
#include "faiss_qbnorm/io/vector_file.h"

/// Vectors for the tests.

namespace testdata {

using faiss_qbnorm::idx_t;
using faiss_qbnorm::Matrix;

/// Independent normal coordinates.
inline Matrix gaussian(idx_t rows, int d, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    Matrix matrix{std::vector<float>(rows * d), rows, d};
    for (float& x : matrix.data) x = normal(random);
    return matrix;
}

/// Unit vectors around one common direction (a modality gap), which makes
/// hubs; different seeds of one `center` are two modalities of one space.
inline Matrix unit(idx_t rows, int d, std::uint32_t seed, float center = 0.5F) {
    Matrix matrix = gaussian(rows, d, seed);
    for (idx_t i = 0; i < rows; i++) {
        float* row = matrix.data.data() + i * d;
        row[0] += center * std::sqrt(static_cast<float>(d));
        double squares = 0;
        for (int j = 0; j < d; j++) squares += double{row[j]} * row[j];
        for (int j = 0; j < d; j++) {
            row[j] = static_cast<float>(row[j] / std::sqrt(squares));
        }
    }
    return matrix;
}

/// A file of the repository's real embeddings (bench/data/README.md).
inline std::string real(const std::string& name) {
    return std::string(QBNORM_SOURCE_DIR) + "/bench/data/" + name;
}

}  // namespace testdata
