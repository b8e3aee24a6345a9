#include "cuda/bound.h"

#include "cuda/launch.h"
#include "cuda/sweep.h"
#include "faiss_qbnorm/core/matrix.h"

namespace faiss_qbnorm::cuda {

CudaBank::CudaBank(Context& context, Metric metric, const MatrixView& bank)
    : metric(metric), rows(bank.rows) {
    // By the bank alone: how a gallery is cut must not show in its offsets.
    const bool fp16 =
        context.precision == Precision::fp16 ||
        (context.precision == Precision::automatic && has_unit_norms(bank));
    const auto work = context.pool.take();
    shape = probe_tile(context.tiles, bank.rows, fp16);
    fill(columns, metric, bank,
         metric == Metric::l2 ? mean_row(bank) : std::vector<float>{}, fp16,
         shape.columns, work->upload, work->stream());
}

CudaGallery::CudaGallery(Context& context, Metric metric,
                         const GalleryBlock& block)
    : metric(metric), block(block) {
    const MatrixView& rows = block.vectors;
    // In chunks, row numbers have 32 bits.
    if (rows.rows == 0 || rows.rows >= idx_t{1} << 31) return;
    // A probe's whole tiles may read past the end.
    const idx_t padded_rows = rows.rows + context.tiles.probe_rows;
    size_t free = 0;
    size_t total = 0;
    check(cudaMemGetInfo(&free, &total), "asking for the free memory");
    if (bytes_of_rows(padded_rows, rows.d, context.precision) +
            context.tiles.reserve_bytes >
        static_cast<idx_t>(free)) {
        return;
    }
    const auto work = context.pool.take();
    Chunk& chunk = resident.emplace();
    chunk.rows = rows.rows;
    chunk.first_label = block.first_label;
    chunk.labels = block.labels;
    float* raw = chunk.own.reserve(padded_rows * rows.d);
    chunk.raw = raw;
    const idx_t size = rows.rows * rows.d;
    work->upload.copy(raw, rows.data, size * static_cast<idx_t>(sizeof(float)),
                      work->stream());
    clear(raw + size, padded_rows * rows.d - size, work->stream());
    prepare_for_scan(context, chunk, metric, rows.d, padded_rows,
                     work->stream());
}

void prepare_for_scan(const Context& context, Chunk& chunk, Metric metric,
                      int d, idx_t padded_rows, cudaStream_t stream) {
    const Precision precision = context.precision;
    prepare_chunk(chunk, metric, d, precision != Precision::fp32, padded_rows,
                  nullptr, stream);
    if (precision == Precision::automatic && !chunk.operand.unit_norm()) {
        chunk.operand = Operand();
        prepare_chunk(chunk, metric, d, false, padded_rows, nullptr, stream);
    }
}

CudaTable::CudaTable(Context& context, const NormTable& table,
                     const BankColumn& column)
    : device(context.device),
      column(column),
      begin(table.begin),
      end(table.end) {
    faiss_qbnorm::check(table);
    largest_offset = faiss_qbnorm::largest_offset(column);
    const auto size = static_cast<idx_t>(column.offsets.size());
    require(size <= idx_t{1} << 32, "the table holds ", size,
            " items; the cuda engine takes up to 2^32 of them");
    const auto work = context.pool.take();
    const auto words = static_cast<idx_t>(column.activation.words().size());
    work->upload.copy(offsets.reserve(size), column.offsets.data(),
                      size * static_cast<idx_t>(sizeof(float)), work->stream());
    work->upload.copy(activation.reserve(words),
                      column.activation.words().data(), words * 8,
                      work->stream());
    work->stream().wait();
}

}  // namespace faiss_qbnorm::cuda
