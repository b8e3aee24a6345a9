// Stands in for CUDA's header of this name, with what the CUDA engine and its
// benchmark use, so that their sources run on the host as they are.
// host_runtime.h steers what is behind it.
#pragma once

#include <math.h>
#include <stddef.h>
#include <string.h>

#include <bit>
#include <concepts>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "host_blocks.h"
#include "vector_types.h"

#define CUDART_VERSION 13000

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
// Blocks run one at a time, so that one copy serves them all.
#define __shared__ static

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoDevice = 100,
    cudaErrorInvalidDevice = 101,
    cudaErrorECCUncorrectable = 214,
    cudaErrorIllegalAddress = 700,
    cudaErrorLaunchTimeout = 702,
    cudaErrorAssert = 710,
    cudaErrorHardwareStackError = 714,
    cudaErrorIllegalInstruction = 715,
    cudaErrorMisalignedAddress = 716,
    cudaErrorInvalidAddressSpace = 717,
    cudaErrorInvalidPc = 718,
    cudaErrorLaunchFailure = 719
};
enum cudaMemcpyKind {
    cudaMemcpyHostToDevice = 1,
    cudaMemcpyDeviceToHost = 2,
    cudaMemcpyDeviceToDevice = 3
};
enum cudaDeviceAttr {
    cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrComputeCapabilityMinor = 76
};
struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem;
    int multiProcessorCount;
    int l2CacheSize;
};
typedef struct CUstream_st* cudaStream_t;
typedef struct CUevent_st* cudaEvent_t;
struct cudaLaunchConfig_t {
    dim3 gridDim;
    dim3 blockDim;
    cudaStream_t stream;
};

constexpr unsigned cudaStreamNonBlocking = 1;
constexpr unsigned cudaEventDisableTiming = 2;

const char* cudaGetErrorName(cudaError_t error);
const char* cudaGetErrorString(cudaError_t error);  // the name, here
cudaError_t cudaGetLastError();

cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaRuntimeGetVersion(int* version);
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute,
                                   int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaDeviceSynchronize();

cudaError_t cudaFree(void* memory);
cudaError_t cudaFreeHost(void* memory);
cudaError_t cudaMemGetInfo(size_t* free, size_t* total);
/// Waits for all streams, where CUDA's waits for some.
cudaError_t cudaMemcpy(void* to, const void* from, size_t count,
                       cudaMemcpyKind kind);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t count,
                            cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* memory, int value, size_t count,
                            cudaStream_t stream);

// There is no null stream: what is put on it throws.
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event,
                                unsigned flags = 0);
cudaError_t cudaEventCreate(cudaEvent_t* event);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream = nullptr);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
/// Always 1: nobody is to measure the host.
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start,
                                 cudaEvent_t end);

namespace qbnorm_host {
/// Allocates on the device, or page-locked.
cudaError_t allocate(void** memory, size_t size, bool on_device);
/// Puts all blocks of a kernel on a stream.
cudaError_t launch(dim3 grid, dim3 block, cudaStream_t stream,
                   std::function<void()> kernel);
}  // namespace qbnorm_host

template <class T>
cudaError_t cudaMalloc(T** memory, size_t size) {
    return qbnorm_host::allocate(reinterpret_cast<void**>(memory), size, true);
}
template <class T>
cudaError_t cudaMallocHost(T** memory, size_t size) {
    return qbnorm_host::allocate(reinterpret_cast<void**>(memory), size, false);
}

/// As CUDA's: the arguments are converted and copied now, the kernel runs when
/// something waits for it.
template <typename... ExpTypes, typename... ActTypes>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config,
                               void (*kernel)(ExpTypes...),
                               ActTypes&&... args) {
    static_assert((std::is_trivially_copyable_v<ExpTypes> && ...),
                  "a kernel's arguments are copied as bytes");
    return qbnorm_host::launch(
        config->gridDim, config->blockDim, config->stream,
        [kernel, copies = std::tuple<ExpTypes...>(std::forward<ActTypes>(
                     args)...)] { std::apply(kernel, copies); });
}

inline unsigned __float_as_uint(float x) {
    return std::bit_cast<unsigned>(x);
}
inline float __uint_as_float(unsigned x) {
    return std::bit_cast<float>(x);
}
template <typename T>
T __ldcg(const T* address) {
    return *address;
}
inline int __popc(unsigned x) {
    return std::popcount(x);
}
inline int __ffs(int x) {
    return __builtin_ffs(x);
}
// Of one type; CUDA's also take two.
template <std::integral T>
constexpr T min(T a, T b) {
    return b < a ? b : a;
}
template <std::integral T>
constexpr T max(T a, T b) {
    return a < b ? b : a;
}
