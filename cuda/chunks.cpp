#include "cuda/chunks.h"

#include <algorithm>

#include "cuda/launch.h"

namespace faiss_qbnorm::cuda {

void prepare_chunk(Chunk& chunk, Metric metric, int d, bool fp16,
                   idx_t padded_rows, const float* center,
                   cudaStream_t stream) {
    Operand& operand = chunk.operand;
    operand.side = Operand::Side::gallery;
    operand.fp16 = fp16;
    operand.l2 = metric == Metric::l2;
    operand.rows = chunk.rows;
    operand.padded_rows = padded_rows;
    operand.d = d;
    prepare(operand, chunk.raw, center, stream);
}

ChunkPipeline::ChunkPipeline(ChunkHalves& halves, int device, idx_t chunk_rows,
                             idx_t multiple, int d, Work work)
    : halves_(halves),
      device_(device),
      chunk_rows_(chunk_rows),
      multiple_(multiple),
      d_(d),
      work_(std::move(work)) {
    for (ChunkHalves::Half& half : halves_.half) empty(half);
}

void ChunkPipeline::empty(ChunkHalves::Half& half) {
    half.chunk.rows = 0;
    half.labels.clear();
    half.contiguous = true;
}

void ChunkPipeline::add(const GalleryBlock& block) {
    for (idx_t begin = 0; begin < block.vectors.rows;) {
        ChunkHalves::Half& half = halves_.half[turn_];
        Chunk& chunk = half.chunk;
        float* staged = half.staged.reserve(chunk_rows_ * d_);
        const idx_t n =
            std::min(chunk_rows_ - chunk.rows, block.vectors.rows - begin);
        parallel_copy(staged + chunk.rows * d_, block.vectors.row(begin),
                      n * d_ * static_cast<idx_t>(sizeof(float)));
        for (idx_t i = begin; i < begin + n; i++) {
            half.labels.push_back(block.label(i));
            half.contiguous = half.contiguous &&
                              half.labels.back() ==
                                  half.labels.front() +
                                      static_cast<idx_t>(half.labels.size()) -
                                      1;
        }
        chunk.rows += n;
        begin += n;
        if (chunk.rows == chunk_rows_) send();
    }
}

void ChunkPipeline::send() {
    ChunkHalves::Half& half = halves_.half[turn_];
    Chunk& chunk = half.chunk;
    chunk.first_label = half.labels.front();
    chunk.labels = half.contiguous ? nullptr : half.labels.data();
    const idx_t size = chunk.rows * d_;
    const idx_t padded = round_up(chunk.rows, multiple_) * d_;
    float* raw = chunk.own.reserve(padded);
    chunk.raw = raw;
    to_device(raw, half.staged.data(), size, halves_.copies);
    clear(raw + size, padded - size, halves_.copies);
    half.sent.record(halves_.copies);
    if (running_.valid()) running_.get();
    running_ = std::async(std::launch::async, [this, &half] {
        check(cudaSetDevice(device_), "choosing a device");
        half.sent.wait();
        work_(half.chunk);
    });
    turn_ = 1 - turn_;
    empty(halves_.half[turn_]);  // its work was waited for above
}

void ChunkPipeline::finish() {
    if (halves_.half[turn_].chunk.rows > 0) send();
    if (running_.valid()) running_.get();
}

}  // namespace faiss_qbnorm::cuda
