#include "cuda/device.h"

namespace faiss_qbnorm::cuda {

void* allocate_device(idx_t bytes) {
    void* memory = nullptr;
    const cudaError_t status = cudaMalloc(&memory, bytes);
    if (status == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        size_t free = 0;
        size_t total = 0;
        check(cudaMemGetInfo(&free, &total), "asking for the free memory");
        fail("too little device memory: ", bytes, " more bytes are needed, ",
             free, " of ", total, " are free");
    }
    check(status, "allocating device memory");
    return memory;
}

void* allocate_pinned(idx_t bytes) {
    void* memory = nullptr;
    const cudaError_t status = cudaMallocHost(&memory, bytes);
    if (status == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        fail("too little page-locked host memory: ", bytes,
             " more bytes are needed");
    }
    check(status, "allocating page-locked host memory");
    return memory;
}

Blas::Blas(cudaStream_t stream) {
    check(cublasCreate(&handle_), "starting cuBLAS");
    cublasStatus_t status = cublasSetStream(handle_, stream);
    if (status == CUBLAS_STATUS_SUCCESS) {
        // Split products must be added in float, not in the output's half.
        status = cublasSetMathMode(
            handle_, static_cast<cublasMath_t>(
                         CUBLAS_DEFAULT_MATH |
                         CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION));
    }
    if (status != CUBLAS_STATUS_SUCCESS) cublasDestroy(handle_);
    check(status, "starting cuBLAS");
}

}  // namespace faiss_qbnorm::cuda
