#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include "faiss_qbnorm/core/error.h"

namespace faiss_qbnorm::cuda {

/// Throws an Error with CUDA's own message unless `status` is success. `doing`
/// completes "CUDA failed while ...".
void check(cudaError_t status, const char* doing);
void check(cublasStatus_t status, const char* doing);

}  // namespace faiss_qbnorm::cuda
