// Stands in for cuBLAS's header of this name.
#pragma once

#include <stdint.h>

#include "cuda_fp16.h"
#include "cuda_runtime.h"

typedef struct cublasContext* cublasHandle_t;

enum cudaDataType { CUDA_R_32F = 0, CUDA_R_16F = 2 };
enum cublasStatus_t {
    CUBLAS_STATUS_SUCCESS = 0,
    CUBLAS_STATUS_ALLOC_FAILED = 3,
    CUBLAS_STATUS_EXECUTION_FAILED = 13
};
enum cublasOperation_t { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1 };
enum cublasComputeType_t { CUBLAS_COMPUTE_32F = 68 };
enum cublasMath_t {
    CUBLAS_DEFAULT_MATH = 0,
    CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION = 16
};
enum cublasGemmAlgo_t { CUBLAS_GEMM_DEFAULT = -1 };

const char* cublasGetStatusName(cublasStatus_t status);
const char* cublasGetStatusString(cublasStatus_t status);  // the name, here
cublasStatus_t cublasCreate(cublasHandle_t* handle);
cublasStatus_t cublasDestroy(cublasHandle_t handle);
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream);
/// Does nothing: sums are never of less precision.
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode);

/// Sums in float32 in the order of k, and rounds once.
cublasStatus_t cublasGemmEx_64(cublasHandle_t handle, cublasOperation_t transa,
                               cublasOperation_t transb, int64_t m, int64_t n,
                               int64_t k, const void* alpha, const void* A,
                               cudaDataType Atype, int64_t lda, const void* B,
                               cudaDataType Btype, int64_t ldb,
                               const void* beta, void* C, cudaDataType Ctype,
                               int64_t ldc, cublasComputeType_t computeType,
                               cublasGemmAlgo_t algo);
inline cublasStatus_t cublasGemmEx(
    cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb,
    int m, int n, int k, const void* alpha, const void* A, cudaDataType Atype,
    int lda, const void* B, cudaDataType Btype, int ldb, const void* beta,
    void* C, cudaDataType Ctype, int ldc, cublasComputeType_t computeType,
    cublasGemmAlgo_t algo) {
    return cublasGemmEx_64(handle, transa, transb, m, n, k, alpha, A, Atype,
                           lda, B, Btype, ldb, beta, C, Ctype, ldc, computeType,
                           algo);
}
