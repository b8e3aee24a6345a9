#include "faiss_qbnorm/similarities/matrix_similarities.h"

#include <cmath>
#include <cstring>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/io/half.h"

namespace faiss_qbnorm {

namespace {

// Elements as they lie in a file, perhaps not aligned.
struct Half {
    std::uint16_t bits;
    float value() const { return from_half(bits); }
};
struct Single {
    float number;
    float value() const { return number; }
};
struct Double {
    double number;
    double value() const { return number; }
};

template <class Element>
auto value_at(const std::byte* row, idx_t column) {
    Element element;
    std::memcpy(&element, row + column * sizeof element, sizeof element);
    return element.value();
}

}  // namespace

MatrixSimilarities::MatrixSimilarities(const std::string& path) : name_(path) {
    const ArrayFile array = ArrayFile::open(path);
    require(array.type == ElementType::float16 ||
                array.type == ElementType::float32 ||
                array.type == ElementType::float64,
            path, ": holds ", name_of(array.type),
            " but similarities are float16, float32 or float64");
    require(array.rows > 0, path, ": holds no similarities");
    for (idx_t i = 0; array.counted_rows && i < array.rows; i++) array.row(i);
    file_ = array.file;
    type_ = array.type;
    rows_ = array.rows;
    items_ = array.d;
    first_ = array.row(0);
    stride_ = array.stride;
}

MatrixSimilarities::MatrixSimilarities(const MatrixView& matrix,
                                       std::string name)
    : name_(std::move(name)),
      type_(ElementType::float32),
      rows_(matrix.rows),
      items_(matrix.d),
      first_(reinterpret_cast<const std::byte*>(matrix.data)),
      stride_(sizeof(float) * matrix.d) {}

void MatrixSimilarities::read(idx_t begin, idx_t end, float* out) const {
    switch (type_) {
        case ElementType::float16:
            return transpose<Half>(begin, end, out);
        case ElementType::float64:
            return transpose<Double>(begin, end, out);
        default:
            return transpose<Single>(begin, end, out);
    }
}

template <class Element>
void MatrixSimilarities::transpose(idx_t begin, idx_t end, float* out) const {
    constexpr idx_t tile_rows = 16;  // floats of a cache line
    constexpr idx_t tile_columns = 256;
    const idx_t tiles = (rows_ + tile_rows - 1) / tile_rows;
    bool bad = false;
#pragma omp parallel for reduction(|| : bad)
    for (idx_t tile = 0; tile < tiles; tile++) {
        const idx_t r0 = tile * tile_rows;
        const idx_t r1 = std::min(r0 + tile_rows, rows_);
        for (idx_t c0 = begin; c0 < end; c0 += tile_columns) {
            const idx_t c1 = std::min(c0 + tile_columns, end);
            for (idx_t r = r0; r < r1; r++) {
                const std::byte* row = first_ + r * stride_;
                for (idx_t c = c0; c < c1; c++) {
                    const auto value =
                        static_cast<float>(value_at<Element>(row, c));
                    bad |= !std::isfinite(value);
                    out[(c - begin) * rows_ + r] = value;
                }
            }
        }
    }
    if (bad) name_bad_number<Element>(begin, end);
}

template <class Element>
void MatrixSimilarities::name_bad_number(idx_t begin, idx_t end) const {
    for (idx_t r = 0; r < rows_; r++) {
        for (idx_t c = begin; c < end; c++) {
            const auto value = value_at<Element>(first_ + r * stride_, c);
            require(std::isfinite(static_cast<float>(value)), name_, ": row ",
                    r, ", column ", c, " is ", value,
                    "; similarities must be finite in float32");
        }
    }
    fail(name_, ": changed while it was read");
}

}  // namespace faiss_qbnorm
