#pragma once

#include <functional>
#include <future>
#include <vector>

#include "cuda/columns.h"
#include "cuda/device.h"
#include "cuda/operand.h"
#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm::cuda {

/// Gallery rows on the device.
struct Chunk {
    idx_t rows = 0;
    const float* raw = nullptr;  ///< as they came; there may be more rows
    DeviceArray<float> own;      ///< of `raw`, unless another chunk's
    Operand operand;
    idx_t first_label = 0;
    const idx_t* labels = nullptr;  ///< on the host; nullptr for contiguous

    idx_t label(idx_t row) const {
        return labels ? labels[row] : first_label + row;
    }
};

/// Makes the operand of a chunk, with room for padded_rows, from its raw rows.
/// `center` as in prepare.
void prepare_chunk(Chunk& chunk, Metric metric, int d, bool fp16,
                   idx_t padded_rows, const float* center, cudaStream_t stream);

/// What a pipeline copies through: one half is worked on while the other is
/// filled. Page-locked memory is dear, so it is kept from call to call.
struct ChunkHalves {
    struct Half {
        PinnedArray<float> staged;
        std::vector<idx_t> labels;
        bool contiguous = true;
        Chunk chunk;
        Event sent;
    };

    Half half[2];
    Stream copies;  // last, so that it ends before the rest goes
};

/// Brings a gallery to the device in chunks: while one is worked on, the next
/// is copied and the one after is read.
class ChunkPipeline {
  public:
    using Work = std::function<void(Chunk&)>;

    /// Chunks have `chunk_rows` rows, the last one fewer, and room for padding
    /// to a multiple of `multiple`. `work` is called with one chunk after
    /// another, on a thread of its own, and may throw.
    ChunkPipeline(ChunkHalves& halves, int device, idx_t chunk_rows,
                  idx_t multiple, int d, Work work);

    /// The block may go once this returns. Throws what work threw.
    void add(const GalleryBlock& block);

    /// Returns when all work is done. Throws what work threw.
    void finish();

  private:
    void empty(ChunkHalves::Half& half);
    void send();

    ChunkHalves& halves_;
    int device_;
    idx_t chunk_rows_;
    idx_t multiple_;
    int d_;
    Work work_;
    int turn_ = 0;
    std::future<void> running_;  // last, so that it ends before the rest goes
};

}  // namespace faiss_qbnorm::cuda
