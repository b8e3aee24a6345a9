#include "faiss_qbnorm/similarities/vector_similarities.h"

#include <omp.h>

#include <cmath>
#include <limits>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/cpu/simd.h"

extern "C" int dgemm_(const char* transa, const char* transb, const int* m,
                      const int* n, const int* k, const double* alpha,
                      const double* a, const int* lda, const double* b,
                      const int* ldb, const double* beta, double* c,
                      const int* ldc);

namespace faiss_qbnorm {

namespace {

// A tile of products fits into a core's cache.
constexpr idx_t tile_rows = 256;
constexpr idx_t tile_items = 128;

std::vector<double> widen(const MatrixView& matrix) {
    std::vector<double> wide(matrix.rows * matrix.d);
#pragma omp parallel for
    for (idx_t i = 0; i < matrix.rows; i++) {
        for (int t = 0; t < matrix.d; t++) {
            wide[i * matrix.d + t] = matrix.row(i)[t];
        }
    }
    return wide;
}

std::vector<double> squares_of(const std::vector<double>& wide, idx_t rows,
                               int d) {
    std::vector<double> squares(rows, 0);
#pragma omp parallel for
    for (idx_t i = 0; i < rows; i++) {
        for (int t = 0; t < d; t++) {
            squares[i] += wide[i * d + t] * wide[i * d + t];
        }
    }
    return squares;
}

// c[j * rows + i] = a row i . b row j
void multiply(const double* a, idx_t rows, const double* b, idx_t columns,
              int d, double* c) {
    const int m = static_cast<int>(rows);
    const int n = static_cast<int>(columns);
    const double one = 1;
    const double zero = 0;
    dgemm_("T", "N", &m, &n, &d, &one, a, &d, b, &d, &zero, c, &m);
}

}  // namespace

VectorSimilarities::VectorSimilarities(Metric metric, const Gallery& gallery,
                                       const MatrixView& rows, std::string name)
    : metric_(metric), gallery_(gallery), rows_(rows), name_(std::move(name)) {
    require(rows.d == gallery.d(), name_, ": has dimension ", rows.d, " but ",
            gallery.name(), " has ", gallery.d());
    require(gallery.holes() == 0, gallery.name(), ": ", gallery.holes(),
            " labels have no item, which no similarity can be given; number "
            "its items without gaps");
    check_finite(rows, name_);
    wide_ = widen(rows);
    squares_ = squares_of(wide_, rows.rows, rows.d);
}

void VectorSimilarities::read(idx_t begin, idx_t end, float* out) const {
    idx_t done = 0;
    gallery_.for_each_block(begin, end, [&](const GalleryBlock& block) {
        score(block, begin, out);
        done += block.vectors.rows;
    });
    require(done == end - begin, gallery_.name(), " showed ", done,
            " rows instead of ", end - begin);
}

void VectorSimilarities::score(const GalleryBlock& block, idx_t begin,
                               float* out) const {
    const MatrixView& items = block.vectors;
    const int d = rows_.d;
    const std::vector<double> wide = widen(items);
    const std::vector<double> squares = squares_of(wide, items.rows, d);
    const idx_t across = (rows_.rows + tile_rows - 1) / tile_rows;
    const idx_t down = (items.rows + tile_items - 1) / tile_items;
    std::vector<double> tiles(omp_get_max_threads() * tile_rows * tile_items);
    constexpr idx_t none = std::numeric_limits<idx_t>::max();
    idx_t overflowing = none;
    // How far a product by BLAS and an exact score, both summed in double, may
    // be from each other, relative to the vectors' lengths.
    const double error = 4 * (d + 8) * std::numeric_limits<double>::epsilon();

    // Tiles have fixed places, so that threads change nothing.
#pragma omp parallel for schedule(dynamic) reduction(min : overflowing)
    for (idx_t t = 0; t < across * down; t++) {
        const idx_t r0 = t % across * tile_rows;
        const idx_t j0 = t / across * tile_items;
        const idx_t rows = std::min(tile_rows, rows_.rows - r0);
        const idx_t columns = std::min(tile_items, items.rows - j0);
        double* tile =
            tiles.data() + omp_get_thread_num() * tile_rows * tile_items;
        multiply(wide_.data() + r0 * d, rows, wide.data() + j0 * d, columns, d,
                 tile);
        for (idx_t j = 0; j < columns; j++) {
            const idx_t item = j0 + j;
            float* scores = out + (block.label(item) - begin) * rows_.rows + r0;
            for (idx_t i = 0; i < rows; i++) {
                double s = tile[j * rows + i];
                const double a = squares_[r0 + i];
                const double b = squares[item];
                double reach = std::sqrt(a * b);
                if (metric_ == Metric::l2) {
                    s = 2 * s - a - b;
                    reach = a + b;
                }
                const auto low = static_cast<float>(s - error * reach);
                const auto high = static_cast<float>(s + error * reach);
                scores[i] = low == high
                                ? low
                                : simd::exact_score(metric_, rows_.row(r0 + i),
                                                    items.row(item), d);
                if (!std::isfinite(scores[i])) {
                    overflowing = std::min(overflowing, block.label(item));
                }
            }
        }
    }
    require(overflowing == none, gallery_.name(), ": the scores of row ",
            overflowing, " with ", name_,
            " overflow float32; scale the vectors down");
}

}  // namespace faiss_qbnorm
