#pragma once

#include <cstddef>

#include "cuda/device.h"

namespace faiss_qbnorm::cuda {

/// memcpy by all cores: one alone cannot keep a PCIe link busy.
void parallel_copy(void* to, const void* from, idx_t bytes);

/// Copies ordinary host memory to the device through two page-locked buffers:
/// one is filled while the other is sent.
class Upload {
  public:
    /// Returns once `from` is read; the device has it in the stream's order.
    void copy(void* to, const void* from, idx_t bytes, cudaStream_t stream);

  private:
    struct Buffer {
        PinnedArray<std::byte> memory;
        Event sent;
    };
    Buffer buffers_[2];
    int turn_ = 0;
};

}  // namespace faiss_qbnorm::cuda
