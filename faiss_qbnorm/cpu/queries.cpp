#include "faiss_qbnorm/cpu/queries.h"

#include <algorithm>

namespace faiss_qbnorm {

namespace {

// Panels of one width, if it can be.
ProductShape shape_of(const CpuTiles& tiles, const MatrixView& rows) {
    constexpr idx_t lanes = 16;
    const idx_t panels =
        std::max<idx_t>((rows.rows + tiles.queries - 1) / tiles.queries, 1);
    const idx_t each = (rows.rows + panels - 1) / panels;
    const idx_t even = (each + lanes - 1) / lanes * lanes;
    return {tiles.gallery, rows.rows, std::max<idx_t>(even, lanes), rows.d};
}

}  // namespace

Queries::Queries(const Scoring& scoring, Metric metric, const MatrixView& rows,
                 const float* center)
    : scoring(scoring),
      metric(metric),
      rows(rows),
      center(center),
      shape(shape_of(scoring.tiles, rows)),
      squares(rows.rows),
      bounds(rows.rows),
      panel_bounds(shape.panels()) {
    const int d = rows.d;
    HugeVector<std::uint16_t> bf16;
    if (scoring.type == ProductType::bf16) bf16.resize(rows.rows * d);
    if (center) centered.resize(rows.rows * d);
#pragma omp parallel for
    for (idx_t i = 0; i < rows.rows; i++) {
        const simd::RowSize size = simd::load_row(
            rows.row(i), center, d, center ? centered.data() + i * d : nullptr,
            bf16.empty() ? nullptr : bf16.data() + i * d);
        squares[i] = size.squares;
        bounds[i] = bound_of(rows.slice(i, i + 1), center, &size.squares,
                             &size.lost_squares);
    }
    for (idx_t i = 0; i < rows.rows; i++) {
        panel_bounds[i / shape.panel_rows].cover(bounds[i]);
        bound.cover(bounds[i]);
    }
    if (!scoring.blas) {
        packed = pack_for_onednn(
            shape, {plain(), bf16.empty() ? nullptr : bf16.data()});
    }
    if (!packed) packed = pack_for_blas(shape, plain());
}

}  // namespace faiss_qbnorm
