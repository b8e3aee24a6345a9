#pragma once

#include <cstdint>

namespace faiss_qbnorm {

/// A gallery label or a count, as in FAISS.
using idx_t = std::int64_t;

/// How two vectors are compared. Inside this library scores are always
/// similarities (higher is better): the inner product as it is, or the
/// negated squared Euclidean distance -|a - b|^2.
enum class Metric : std::uint32_t { inner_product = 0, l2 = 1 };

/// A row-major float32 matrix that somebody else owns.
struct MatrixView {
    const float* data = nullptr;
    idx_t rows = 0;
    int d = 0;

    const float* row(idx_t i) const { return data + i * d; }
    MatrixView slice(idx_t begin, idx_t end) const {
        return {row(begin), end - begin, d};
    }
};

/// Some gallery rows and their labels: `first_label`, `first_label + 1`, ...
/// or, where rows come in another order (out of inverted lists), `labels`.
struct GalleryBlock {
    MatrixView vectors;
    idx_t first_label = 0;
    const idx_t* labels = nullptr;

    idx_t label(idx_t i) const { return labels ? labels[i] : first_label + i; }
};

}  // namespace faiss_qbnorm
