#include <algorithm>
#include <cstring>
#include <set>
#include <vector>

#include "cublas_v2.h"
#include "host_runtime.h"

struct cublasContext {
    cudaStream_t stream = nullptr;
    void* workspace = nullptr;
    size_t workspace_bytes = 0;
};

namespace qbnorm_host {
namespace {

std::set<cublasHandle_t>& handles() {
    static std::set<cublasHandle_t> all;
    return all;
}

cublasStatus_t status_of(cudaError_t error) {
    switch (error) {
        case cudaSuccess:
            return CUBLAS_STATUS_SUCCESS;
        case cudaErrorMemoryAllocation:
            return CUBLAS_STATUS_ALLOC_FAILED;
        case cudaErrorNoDevice:
        case cudaErrorInsufficientDriver:
            return CUBLAS_STATUS_NOT_INITIALIZED;
        default:
            return CUBLAS_STATUS_EXECUTION_FAILED;
    }
}

template <typename F>
cublasStatus_t call(F f) {
    const std::lock_guard lock(runtime_mutex());
    const cublasStatus_t status = status_of(begin_call());
    return status != CUBLAS_STATUS_SUCCESS ? status : f();
}

// As call, for a handle that must be one.
template <typename F>
cublasStatus_t call(cublasHandle_t handle, F f) {
    return call([&] {
        return handles().count(handle) == 0 ? CUBLAS_STATUS_NOT_INITIALIZED
                                            : f();
    });
}

// A column-major matrix in device memory.
struct Matrix {
    const void* elements;
    cudaDataType type;
    int64_t rows, columns, ld;

    size_t element_bytes() const { return type == CUDA_R_16F ? 2 : 4; }
    void check(const char* what) const {
        if (rows != 0 && columns != 0) {
            check_device_memory(
                elements, size_t((columns - 1) * ld + rows) * element_bytes(),
                what);
        }
    }
    float get(int64_t row, int64_t column) const {
        const int64_t at = row + column * ld;
        return type == CUDA_R_16F
                   ? float(static_cast<const __half*>(elements)[at])
                   : static_cast<const float*>(elements)[at];
    }
    void set(int64_t row, int64_t column, float value) const {
        const int64_t at = row + column * ld;
        void* to = const_cast<void*>(elements);
        if (type == CUDA_R_16F) {
            static_cast<__half*>(to)[at] = value;
        } else {
            static_cast<float*>(to)[at] = value;
        }
    }
};

void multiply(const Matrix& a, bool transpose_a, const Matrix& b,
              bool transpose_b, const Matrix& c, int64_t k, float alpha,
              float beta) {
    // Rows of length m for each of k, so that the sums run side by side.
    std::vector<float> as(size_t(c.rows * k));
    for (int64_t p = 0; p < k; ++p) {
        for (int64_t i = 0; i < c.rows; ++i) {
            as[size_t(p * c.rows + i)] =
                transpose_a ? a.get(p, i) : a.get(i, p);
        }
    }
    std::vector<float> sums(size_t(c.rows));
    for (int64_t j = 0; j < c.columns; ++j) {
        std::fill(sums.begin(), sums.end(), 0.0f);
        for (int64_t p = 0; p < k; ++p) {
            const float factor = transpose_b ? b.get(j, p) : b.get(p, j);
            const float* row = &as[size_t(p * c.rows)];
            for (size_t i = 0; i < sums.size(); ++i) {
                sums[i] += row[i] * factor;
            }
        }
        for (int64_t i = 0; i < c.rows; ++i) {
            const float product = alpha * sums[size_t(i)];
            c.set(i, j, beta == 0 ? product : product + beta * c.get(i, j));
        }
    }
}

}  // namespace
}  // namespace qbnorm_host

using namespace qbnorm_host;

#define QBNORM_HOST_STATUSES(X)                                            \
    X(CUBLAS_STATUS_SUCCESS, "success")                                    \
    X(CUBLAS_STATUS_NOT_INITIALIZED, "the library was not initialized")    \
    X(CUBLAS_STATUS_ALLOC_FAILED, "the resource allocation failed")        \
    X(CUBLAS_STATUS_INVALID_VALUE,                                         \
      "an unsupported value or parameter was passed to the function")      \
    X(CUBLAS_STATUS_ARCH_MISMATCH,                                         \
      "the function requires a feature absent from the device "            \
      "architecture")                                                      \
    X(CUBLAS_STATUS_MAPPING_ERROR, "an access to GPU memory space failed") \
    X(CUBLAS_STATUS_EXECUTION_FAILED,                                      \
      "the function failed to launch on the GPU")                          \
    X(CUBLAS_STATUS_INTERNAL_ERROR, "an internal operation failed")        \
    X(CUBLAS_STATUS_NOT_SUPPORTED,                                         \
      "the functionality requested is not supported")                      \
    X(CUBLAS_STATUS_LICENSE_ERROR, "the functionality requires a license")

const char* cublasGetStatusName(cublasStatus_t status) {
    switch (status) {
#define QBNORM_HOST_NAME(name, text) \
    case name:                       \
        return #name;
        QBNORM_HOST_STATUSES(QBNORM_HOST_NAME)
    }
    return "an unknown status";
}
const char* cublasGetStatusString(cublasStatus_t status) {
    switch (status) {
#define QBNORM_HOST_TEXT(name, text) \
    case name:                       \
        return text;
        QBNORM_HOST_STATUSES(QBNORM_HOST_TEXT)
    }
    return "an unknown status";
}

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
    return call([=] {
        *handle = new cublasContext;
        handles().insert(*handle);
        count_cublas_handles(1);
        return CUBLAS_STATUS_SUCCESS;
    });
}
cublasStatus_t cublasDestroy(cublasHandle_t handle) {
    const std::lock_guard lock(runtime_mutex());
    if (handles().erase(handle) == 0) {
        return CUBLAS_STATUS_NOT_INITIALIZED;
    }
    count_cublas_handles(-1);
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
    return call(handle, [=] {
        *handle = {.stream = stream};
        return CUBLAS_STATUS_SUCCESS;
    });
}
cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void* workspace,
                                  size_t bytes) {
    return call(handle, [=] {
        if (reinterpret_cast<uintptr_t>(workspace) % 256 != 0) {
            return CUBLAS_STATUS_INVALID_VALUE;
        }
        if (bytes != 0) {
            check_device_memory(workspace, bytes, "cuBLAS's workspace");
        }
        handle->workspace = workspace;
        handle->workspace_bytes = bytes;
        return CUBLAS_STATUS_SUCCESS;
    });
}
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t) {
    return call(handle, [] { return CUBLAS_STATUS_SUCCESS; });
}

cublasStatus_t cublasGemmEx_64(cublasHandle_t handle, cublasOperation_t transa,
                               cublasOperation_t transb, int64_t m, int64_t n,
                               int64_t k, const void* alpha, const void* A,
                               cudaDataType Atype, int64_t lda, const void* B,
                               cudaDataType Btype, int64_t ldb,
                               const void* beta, void* C, cudaDataType Ctype,
                               int64_t ldc, cublasComputeType_t computeType,
                               cublasGemmAlgo_t) {
    return call(handle, [=] {
        const bool ta = transa != CUBLAS_OP_N;
        const bool tb = transb != CUBLAS_OP_N;
        const Matrix a{A, Atype, ta ? k : m, ta ? m : k, lda};
        const Matrix b{B, Btype, tb ? n : k, tb ? k : n, ldb};
        const Matrix c{C, Ctype, m, n, ldc};
        const auto one = int64_t{1};
        if (m < 0 || n < 0 || k < 0 || lda < std::max(one, a.rows) ||
            ldb < std::max(one, b.rows) || ldc < std::max(one, m) ||
            alpha == nullptr || beta == nullptr) {
            return CUBLAS_STATUS_INVALID_VALUE;
        }
        const bool types =
            Atype == Btype && ((Atype == CUDA_R_16F &&
                                (Ctype == CUDA_R_16F || Ctype == CUDA_R_32F)) ||
                               (Atype == CUDA_R_32F && Ctype == CUDA_R_32F));
        if (!types || computeType == CUBLAS_COMPUTE_16F) {
            return CUBLAS_STATUS_NOT_SUPPORTED;
        }
        if (m == 0 || n == 0) {
            return CUBLAS_STATUS_SUCCESS;
        }
        if (A == nullptr || B == nullptr || C == nullptr) {
            return CUBLAS_STATUS_INVALID_VALUE;
        }
        a.check("a product's A");
        b.check("a product's B");
        c.check("a product's C");
        const cublasContext context = *handle;
        const float al = *static_cast<const float*>(alpha);
        const float be = *static_cast<const float*>(beta);
        enqueue(context.stream, [=] {
            // What two streams share must show.
            if (context.workspace_bytes != 0) {
                std::memset(context.workspace, 0xFB,
                            std::min<size_t>(context.workspace_bytes, 4096));
            }
            multiply(a, ta, b, tb, c, k, al, be);
        });
        return CUBLAS_STATUS_SUCCESS;
    });
}
cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t transa,
                            cublasOperation_t transb, int m, int n, int k,
                            const void* alpha, const void* A,
                            cudaDataType Atype, int lda, const void* B,
                            cudaDataType Btype, int ldb, const void* beta,
                            void* C, cudaDataType Ctype, int ldc,
                            cublasComputeType_t computeType,
                            cublasGemmAlgo_t algo) {
    return cublasGemmEx_64(handle, transa, transb, m, n, k, alpha, A, Atype,
                           lda, B, Btype, ldb, beta, C, Ctype, ldc, computeType,
                           algo);
}
