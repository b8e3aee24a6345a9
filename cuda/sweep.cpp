#include "cuda/sweep.h"

#include <algorithm>

#include "cuda/launch.h"

namespace faiss_qbnorm::cuda {

namespace {

TileShape shape(const CudaTiles& tiles, idx_t queries, bool fp16,
                idx_t most_rows, bool narrow) {
    constexpr idx_t wide = 256;
    const idx_t most = std::max<idx_t>(tiles.tile_columns, narrow ? 8 : wide);
    const idx_t even = parts(queries, parts(queries, most));
    const idx_t columns =
        round_up<idx_t>(even, narrow && even < wide ? 8 : wide);
    const idx_t rows =
        std::min(tiles.tile_bytes / (columns * (fp16 ? 2 : 4)), most_rows);
    constexpr idx_t multiple = 128;  // of a tensor core kernel's own tile
    constexpr idx_t least = 8;       // of kernel_fold's
    return {rows >= multiple ? rows / multiple * multiple
                             : std::max(rows / least * least, least),
            static_cast<int>(columns)};
}

void multiply(const Lane& lane, void* scores, const Operand& gallery,
              const Operand& queries, const Tile& tile, idx_t product_rows) {
    const float one = 1;
    const float zero = 0;
    const cudaDataType type = gallery.fp16 ? CUDA_R_16F : CUDA_R_32F;
    // Column-major [columns x rows] of cuBLAS is our row-major tile.
    check(cublasGemmEx_64(
              lane.blas, CUBLAS_OP_T, CUBLAS_OP_N, tile.columns, product_rows,
              gallery.ld, &one, queries.row(tile.first_column), type,
              queries.ld, gallery.row(tile.first), type,
              gallery.ld * tile.stride, &zero, scores, type, tile.columns,
              CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
          "multiplying");
}

}  // namespace

TileShape probe_tile(const CudaTiles& tiles, idx_t bank_rows, bool fp16) {
    return shape(tiles, bank_rows, fp16, tiles.probe_rows, false);
}

TileShape scan_tile(const CudaTiles& tiles, idx_t nq, bool fp16) {
    return shape(tiles, nq, fp16, tiles.scan_rows, true);
}

void sweep(Workspace& work, const Operand& gallery, const Operand& queries,
           const RowRange& range, const Panel& panel, const TileShape& shape,
           bool whole_tiles,
           const std::function<void(const Lane&, const Tile&)>& consume) {
    work.fork.record(work.stream());
    work.fork.hold(work.lanes[1].stream);
    int turn = 0;
    for (idx_t first = range.begin; first < range.end;
         first += shape.rows * range.stride) {
        Lane& lane = work.lanes[turn++ % 2];
        std::byte* scores = lane.scores.reserve(shape.rows * shape.columns *
                                                gallery.bytes_per_element());
        const idx_t rows =
            std::min(shape.rows, parts(range.end - first, range.stride));
        for (idx_t column = panel.begin; column < panel.end;
             column += shape.columns) {
            const Tile tile{scores,       first,  rows,
                            range.stride, column, shape.columns};
            multiply(lane, scores, gallery, queries, tile,
                     whole_tiles ? shape.rows : rows);
            consume(lane, tile);
        }
    }
    work.lanes[1].done.record(work.lanes[1].stream);
    work.lanes[1].done.hold(work.stream());
}

}  // namespace faiss_qbnorm::cuda
