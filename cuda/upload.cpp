#include "cuda/upload.h"

#include <algorithm>
#include <cstring>

namespace faiss_qbnorm::cuda {

void parallel_copy(void* to, const void* from, idx_t bytes) {
    constexpr idx_t piece = idx_t{1} << 20;
    const idx_t pieces = (bytes + piece - 1) / piece;
#pragma omp parallel for if (pieces > 1)
    for (idx_t i = 0; i < pieces; i++) {
        const idx_t begin = i * piece;
        std::memcpy(static_cast<std::byte*>(to) + begin,
                    static_cast<const std::byte*>(from) + begin,
                    std::min(piece, bytes - begin));
    }
}

void Upload::copy(void* to, const void* from, idx_t bytes,
                  cudaStream_t stream) {
    constexpr idx_t most = idx_t{16} << 20;
    for (idx_t begin = 0; begin < bytes; begin += most) {
        const idx_t size = std::min(most, bytes - begin);
        Buffer& buffer = buffers_[turn_++ % 2];
        buffer.sent.wait();
        std::byte* staged = buffer.memory.reserve(size);
        parallel_copy(staged, static_cast<const std::byte*>(from) + begin,
                      size);
        to_device(static_cast<std::byte*>(to) + begin, staged, size, stream);
        buffer.sent.record(stream);
    }
}

}  // namespace faiss_qbnorm::cuda
