#include "cuda/error.h"

namespace faiss_qbnorm::cuda {

namespace {

/// Whether a process that met this error cannot use the device any more.
bool is_sticky(cudaError_t status) {
    switch (status) {
        case cudaErrorIllegalAddress:
        case cudaErrorLaunchFailure:
        case cudaErrorLaunchTimeout:
        case cudaErrorAssert:
        case cudaErrorHardwareStackError:
        case cudaErrorIllegalInstruction:
        case cudaErrorMisalignedAddress:
        case cudaErrorInvalidAddressSpace:
        case cudaErrorInvalidPc:
        case cudaErrorECCUncorrectable:
            return true;
        default:
            return false;
    }
}

}  // namespace

void check(cudaError_t status, const char* doing) {
    if (status == cudaSuccess) return;
    cudaGetLastError();  // or the next call would report this one's error
    fail("CUDA failed while ", doing, ": ", cudaGetErrorString(status), " (",
         cudaGetErrorName(status), ")",
         is_sticky(status) ? "; this process cannot use the device any more, "
                             "start it again"
                           : "");
}

void check(cublasStatus_t status, const char* doing) {
    if (status == CUBLAS_STATUS_SUCCESS) return;
    const cudaError_t cause = cudaGetLastError();
    if (is_sticky(cause)) check(cause, doing);
    fail("cuBLAS failed while ", doing, ": ", cublasGetStatusString(status),
         " (", cublasGetStatusName(status), ")");
}

}  // namespace faiss_qbnorm::cuda
