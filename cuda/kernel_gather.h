#pragma once

#include <cuda_runtime.h>

#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm::cuda {

constexpr int gather_threads = 256;

/// The offsets of rows with these labels.
__global__ void __launch_bounds__(gather_threads)
    kernel_gather(const float* offsets, const idx_t* labels, idx_t begin,
                  idx_t rows, float* gathered) {
    const idx_t row = idx_t{blockIdx.x} * gather_threads + threadIdx.x;
    if (row < rows) gathered[row] = offsets[labels[row] - begin];
}

}  // namespace faiss_qbnorm::cuda
