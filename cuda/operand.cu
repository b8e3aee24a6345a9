#include "cuda/operand.h"

#include <algorithm>
#include <bit>

#include "cuda/kernel_prepare.h"
#include "cuda/launch.h"

namespace faiss_qbnorm::cuda {

namespace {

int leading_dimension(int d, bool fp16) {
    return round_up(d, fp16 ? 8 : 4);  // 16 bytes: what tensor cores load
}

bool raw_serves(const Operand& operand, const float* center) {
    return !operand.fp16 && !center && operand.ld == operand.d;
}

template <class Element>
void start(Operand& operand, const float* raw, const float* center,
           RowStatistics* statistics, cudaStream_t stream) {
    const idx_t rows = operand.padded_rows;
    Element* elements = nullptr;
    if (raw_serves(operand, center)) {
        operand.elements = raw;
    } else {
        const idx_t size = rows * operand.ld;
        elements = reinterpret_cast<Element*>(
            operand.own.reserve(size * static_cast<idx_t>(sizeof(Element))));
        operand.elements = elements;
    }
    const bool gallery = operand.side == Operand::Side::gallery;
    const bool each = gallery && operand.fp16;
    launch(kernel_prepare<Element>,
           dim3(static_cast<unsigned>(parts<idx_t>(rows, prepare_rows))),
           prepare_threads, stream,
           PrepareArguments<Element>{
               raw, center, operand.rows, rows, operand.d, operand.ld,
               operand.l2, each ? 0 : operand.scale, elements,
               gallery ? operand.weight.reserve(rows) : nullptr,
               operand.bias.reserve(rows), operand.norms.reserve(rows),
               gallery ? nullptr : operand.errors.reserve(rows), statistics});
}

}  // namespace

idx_t bytes_of_rows(idx_t padded_rows, int d, Precision precision) {
    constexpr idx_t arrays = 3;  // weight, bias, norms
    const idx_t as_half = leading_dimension(d, true) * 2;
    const idx_t as_float = d % 4 != 0 ? leading_dimension(d, false) * 4 : 0;
    const idx_t own = precision == Precision::fp16 ? as_half
                      : precision == Precision::fp32
                          ? as_float
                          : std::max(as_half, as_float);
    return padded_rows * (idx_t{d} * 4 + own + arrays * 4);
}

void prepare(Operand& operand, const float* raw, const float* center,
             cudaStream_t stream) {
    operand.ld = leading_dimension(operand.d, operand.fp16);
    const bool gallery = operand.side == Operand::Side::gallery;
    constexpr idx_t words = sizeof(RowStatistics) / sizeof(unsigned);
    RowStatistics* statistics = nullptr;
    RowStatistics* found = nullptr;
    if (gallery) {
        statistics =
            reinterpret_cast<RowStatistics*>(operand.statistics.reserve(words));
        found = reinterpret_cast<RowStatistics*>(
            operand.statistics_on_host.reserve(words));
        *found = {0, ~0U, 0};
        to_device(statistics, found, 1, stream);
    }
    if (operand.fp16) {
        start<__half>(operand, raw, center, statistics, stream);
    } else {
        start<float>(operand, raw, center, statistics, stream);
    }
    if (!gallery) return;
    to_host(found, statistics, 1, stream);
    check(cudaStreamSynchronize(stream), "preparing vectors");
    operand.largest_norm = std::bit_cast<float>(found->largest_norm);
    operand.smallest_norm = std::bit_cast<float>(found->smallest_norm);
    operand.largest_error = std::bit_cast<float>(found->largest_error);
}

}  // namespace faiss_qbnorm::cuda
