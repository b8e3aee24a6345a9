// cuBLAS's handles and its matrix product.
#include <algorithm>

#include "host_state.h"

namespace qbnorm_host {
namespace {

cublasStatus_t status_of(cudaError_t error) {
    if (error == cudaSuccess) return CUBLAS_STATUS_SUCCESS;
    if (error == cudaErrorMemoryAllocation) return CUBLAS_STATUS_ALLOC_FAILED;
    return CUBLAS_STATUS_EXECUTION_FAILED;
}

cublasContext& context_of(cublasHandle_t handle) {
    if (!state().handles.contains(handle)) {
        throw std::logic_error("not a cuBLAS handle, or destroyed");
    }
    return *handle;
}

// A column-major matrix on the device.
struct Matrix {
    const void* elements;
    bool half;
    std::int64_t rows, columns, ld;

    void check(const char* what) const {
        const std::int64_t count = (columns - 1) * ld + rows;
        check_memory(elements, std::size_t(count) * (half ? 2 : 4), true, what);
    }
    float get(std::int64_t row, std::int64_t column) const {
        const std::int64_t at = row + column * ld;
        return half ? float(static_cast<const __half*>(elements)[at])
                    : static_cast<const float*>(elements)[at];
    }
    void set(std::int64_t row, std::int64_t column, float value) const {
        const std::int64_t at = row + column * ld;
        void* to = const_cast<void*>(elements);
        if (half) {
            static_cast<__half*>(to)[at] = value;
        } else {
            static_cast<float*>(to)[at] = value;
        }
    }
};

// Sums that run side by side, each in its own order: fast, and yet exact.
constexpr std::int64_t kSums = 4;
typedef float Sums __attribute__((vector_size(kSums * sizeof(float))));

void multiply(const Matrix& a, bool transpose_a, const Matrix& b,
              bool transpose_b, const Matrix& c, std::int64_t k, float alpha,
              float beta) {
    const std::int64_t groups = (c.rows + kSums - 1) / kSums;
    std::vector<Sums> left(std::size_t(groups * k));  // groups x k
    for (std::int64_t i = 0; i < c.rows; ++i) {
        for (std::int64_t p = 0; p < k; ++p) {
            left[std::size_t(i / kSums * k + p)][i % kSums] =
                transpose_a ? a.get(p, i) : a.get(i, p);
        }
    }
    std::vector<float> column(static_cast<std::size_t>(k));
    for (std::int64_t j = 0; j < c.columns; ++j) {
        for (std::int64_t p = 0; p < k; ++p) {
            column[std::size_t(p)] = transpose_b ? b.get(j, p) : b.get(p, j);
        }
        for (std::int64_t g = 0; g < groups; ++g) {
            const Sums* factors = &left[std::size_t(g * k)];
            Sums sums = {};
            for (const float factor : column) sums += *factors++ * factor;
            for (std::int64_t i = g * kSums;
                 i < std::min(c.rows, (g + 1) * kSums); ++i) {
                const float product = alpha * sums[i % kSums];
                c.set(i, j, beta == 0 ? product : product + beta * c.get(i, j));
            }
        }
    }
}

}  // namespace
}  // namespace qbnorm_host

using namespace qbnorm_host;

const char* cublasGetStatusName(cublasStatus_t status) {
    if (status == CUBLAS_STATUS_SUCCESS) return "CUBLAS_STATUS_SUCCESS";
    return status == CUBLAS_STATUS_ALLOC_FAILED
               ? "CUBLAS_STATUS_ALLOC_FAILED"
               : "CUBLAS_STATUS_EXECUTION_FAILED";
}
const char* cublasGetStatusString(cublasStatus_t status) {
    return cublasGetStatusName(status);
}

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
    return status_of(call([=] {
        *handle = new cublasContext;
        state().handles.insert(*handle);
    }));
}
cublasStatus_t cublasDestroy(cublasHandle_t handle) {
    return status_of(release([=] {
        state().handles.erase(&context_of(handle));
        delete handle;
    }));
}
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
    return status_of(call([=] { context_of(handle).stream = stream; }));
}
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t) {
    return status_of(call([=] { context_of(handle); }));
}

cublasStatus_t cublasGemmEx_64(cublasHandle_t handle, cublasOperation_t transa,
                               cublasOperation_t transb, int64_t m, int64_t n,
                               int64_t k, const void* alpha, const void* A,
                               cudaDataType Atype, int64_t lda, const void* B,
                               cudaDataType Btype, int64_t ldb,
                               const void* beta, void* C, cudaDataType Ctype,
                               int64_t ldc, cublasComputeType_t,
                               cublasGemmAlgo_t) {
    return status_of(call([=] {
        const bool ta = transa == CUBLAS_OP_T;
        const bool tb = transb == CUBLAS_OP_T;
        const Matrix a{A, Atype == CUDA_R_16F, ta ? k : m, ta ? m : k, lda};
        const Matrix b{B, Btype == CUDA_R_16F, tb ? n : k, tb ? k : n, ldb};
        const Matrix c{C, Ctype == CUDA_R_16F, m, n, ldc};
        if (m <= 0 || n <= 0 || k <= 0 || lda < a.rows || ldb < b.rows ||
            ldc < m || a.half != b.half || (c.half && !a.half)) {
            throw std::logic_error("a product of such matrices: not here");
        }
        a.check("a product's A");
        b.check("a product's B");
        c.check("a product's C");
        const float al = *static_cast<const float*>(alpha);
        const float be = *static_cast<const float*>(beta);
        push(context_of(handle).stream,
             {.run = [=] { multiply(a, ta, b, tb, c, k, al, be); }});
    }));
}
