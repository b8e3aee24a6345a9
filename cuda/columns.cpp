#include "cuda/columns.h"

#include <algorithm>
#include <cmath>

#include "cuda/launch.h"

namespace faiss_qbnorm::cuda {

namespace {

double norm_of(const float* row, const std::vector<float>& center, int d) {
    double squares = 0;
    for (int i = 0; i < d; i++) {
        const float x = center.empty() ? row[i] : row[i] - center[i];
        squares += double{x} * x;
    }
    return std::sqrt(squares);
}

/// The least power of two that brings every row's norm to at most 1.
float common_scale(const MatrixView& rows, const std::vector<float>& center) {
    double largest = 0;
#pragma omp parallel for reduction(max : largest)
    for (idx_t i = 0; i < rows.rows; i++) {
        largest = std::max(largest, norm_of(rows.row(i), center, rows.d));
    }
    if (!(largest > 0) || !(largest < 1e38)) return 1;
    int exponent = 0;
    std::frexp(largest, &exponent);
    return std::ldexp(1.0F, std::max(exponent, -120));
}

}  // namespace

bool has_unit_norms(const MatrixView& rows) {
    bool unit = true;
#pragma omp parallel for reduction(&& : unit)
    for (idx_t i = 0; i < rows.rows; i++) {
        unit = unit && std::fabs(norm_of(rows.row(i), {}, rows.d) - 1) < 0.01;
    }
    return unit;
}

void fill(Columns& columns, Metric metric, const MatrixView& rows,
          const std::vector<float>& center, bool fp16, idx_t multiple,
          Upload& upload, cudaStream_t stream) {
    Operand& operand = columns.operand;
    operand.side = Operand::Side::queries;
    operand.fp16 = fp16;
    operand.l2 = metric == Metric::l2;
    operand.rows = rows.rows;
    operand.padded_rows = round_up(rows.rows, multiple);
    operand.d = rows.d;
    operand.scale = fp16 ? common_scale(rows, center) : 1;
    const idx_t size = rows.rows * rows.d;
    const idx_t padded = operand.padded_rows * rows.d;
    float* raw = columns.raw.reserve(padded);
    upload.copy(raw, rows.data, size * static_cast<idx_t>(sizeof(float)),
                stream);
    clear(raw + size, padded - size, stream);
    columns.centered = !center.empty();
    if (columns.centered) {
        to_device(columns.center.reserve(rows.d), center.data(), rows.d,
                  stream);
    }
    prepare(operand, raw, columns.center_or_null(), stream);
    float* on_host = columns.norms_and_errors.reserve(2 * rows.rows);
    to_host(on_host, operand.norms.data(), rows.rows, stream);
    to_host(on_host + rows.rows, operand.errors.data(), rows.rows, stream);
    check(cudaStreamSynchronize(stream), "preparing vectors");
    operand.largest_norm = *std::max_element(on_host, on_host + rows.rows);
}

}  // namespace faiss_qbnorm::cuda
