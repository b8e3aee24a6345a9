#pragma once

#include <optional>

#include "cuda/chunks.h"
#include "cuda/columns.h"
#include "cuda/score_bound.h"
#include "cuda/sweep.h"
#include "cuda/tiles.h"
#include "cuda/workspace.h"
#include "faiss_qbnorm/engine.h"

namespace faiss_qbnorm::cuda {

/// What every operation of an engine works with. Handles refer to it.
struct Context {
    int device;
    Precision precision;
    CudaTiles tiles;
    WorkspacePool pool;
};

struct CudaBank : BoundBank {
    Metric metric;
    idx_t rows;
    TileShape shape;
    Columns columns;

    CudaBank(Context& context, Metric metric, const MatrixView& bank);
};

/// A gallery on the device or, where it does not fit, on the host, from where
/// each scan streams it.
struct CudaGallery : BoundGallery {
    Metric metric;
    GalleryBlock block;
    std::optional<Chunk> resident;

    CudaGallery(Context& context, Metric metric, const GalleryBlock& block);
};

/// Prepares a chunk to be scanned: as half, where its norms allow or the
/// context asks for it. Exact scores decide anyway; half filters well where
/// norms are alike.
void prepare_for_scan(const Context& context, Chunk& chunk, Metric metric,
                      int d, idx_t padded_rows, cudaStream_t stream);

struct CudaTable : BoundTable {
    int device;
    BankColumn column;  ///< keeps the host's arrays
    idx_t begin;
    idx_t end;
    float largest_offset;  ///< by magnitude
    DeviceArray<float> offsets;
    DeviceArray<std::uint64_t> activation;

    CudaTable(Context& context, const NormTable& table,
              const BankColumn& column);
};

/// What a handle of this engine is; throws for another engine's.
template <class Mine, class Handle>
const Mine& mine(const Handle& handle) {
    const auto* result = dynamic_cast<const Mine*>(&handle);
    require(result != nullptr,
            "a handle of another engine reached the cuda engine; bind it with "
            "this one");
    return *result;
}

std::unique_ptr<Probe> cuda_begin_probe(Context& context, const CudaBank& bank,
                                        const Normalization& normalization,
                                        const ProbeResults& results);

void cuda_scan(Context& context, const CudaGallery& gallery,
               const CudaTable* table, const MatrixView& queries,
               ScanState& state);

void cuda_rerank(Context& context, const CudaTable& table, Method method,
                 const Candidates& candidates, idx_t k, const Answers& answers);

}  // namespace faiss_qbnorm::cuda
