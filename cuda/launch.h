#pragma once

#include <cuda_runtime.h>

#include "cuda/error.h"

namespace faiss_qbnorm::cuda {

/// Puts a kernel on a stream; nothing for an empty grid.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, int threads,
            cudaStream_t stream, Arguments&&... arguments) {
    if (grid.x == 0 || grid.y == 0) return;
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = dim3(threads);
    config.stream = stream;
    check(cudaLaunchKernelEx(&config, kernel,
                             static_cast<Parameters>(arguments)...),
          "starting a kernel");
}

/// How many parts of `size` hold `n`.
template <class T>
constexpr T parts(T n, T size) {
    return (n + size - 1) / size;
}

template <class T>
constexpr T round_up(T n, T multiple) {
    return parts(n, multiple) * multiple;
}

}  // namespace faiss_qbnorm::cuda
