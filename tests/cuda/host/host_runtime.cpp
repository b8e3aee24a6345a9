#include "host_runtime.h"

#include <limits>

#include "host_state.h"

namespace qbnorm_host {

thread_local int current_device = 0;
thread_local cudaError_t last_error = cudaSuccess;

Runtime& runtime() {
    static Runtime r;
    return r;
}

std::recursive_mutex& runtime_mutex() {
    return runtime().mutex;
}

cudaError_t begin_call(bool needs_device) {
    Runtime& r = runtime();
    rethrow_kernel_error();
    ++r.calls;
    if (r.sticky_error != cudaSuccess) {
        return r.sticky_error;
    }
    if (r.calls_to_failure != 0 && --r.calls_to_failure == 0) {
        if (r.failure_is_sticky) {
            r.sticky_error = r.failure;
            r.streams.drop();
        }
        return r.failure;
    }
    if (needs_device && r.device_error != cudaSuccess) {
        return r.device_error;
    }
    return needs_device && r.devices <= 0 ? cudaErrorNoDevice : cudaSuccess;
}

void count_cublas_handles(int change) {
    runtime().cublas_handles += std::size_t(change);
}

LiveObjects live_objects() {
    const Runtime& r = runtime();
    const std::lock_guard lock(runtime().mutex);
    LiveObjects live;
    for (const auto& [address, allocation] : r.allocations) {
        ++(allocation.device_memory ? live.device_allocations
                                    : live.pinned_allocations);
    }
    live.streams = r.streams.size();
    live.events = r.events.size();
    live.cublas_handles = r.cublas_handles;
    return live;
}
std::size_t device_bytes_in_use() {
    const std::lock_guard lock(runtime().mutex);
    return runtime().used;
}
std::size_t device_bytes_peak() {
    const std::lock_guard lock(runtime().mutex);
    return runtime().peak;
}
std::uint64_t call_count() {
    const std::lock_guard lock(runtime().mutex);
    return runtime().calls;
}
void fail_call(std::uint64_t n, cudaError_t error, bool sticky) {
    Runtime& r = runtime();
    const std::lock_guard lock(r.mutex);
    r.calls_to_failure = n;
    r.failure = error;
    r.failure_is_sticky = sticky;
}
void set_device_count(int n, cudaError_t error) {
    const std::lock_guard lock(runtime().mutex);
    runtime().devices = n;
    runtime().device_error = error;
}
void set_free_memory(std::size_t bytes) {
    const std::lock_guard lock(runtime().mutex);
    runtime().capacity = runtime().used + bytes;
}
void set_seed(std::uint64_t seed) {
    const std::lock_guard lock(runtime().mutex);
    runtime().streams.random = Random(seed);
    blocks.set_seed(seed);
}
void set_eagerness(unsigned percent) {
    const std::lock_guard lock(runtime().mutex);
    runtime().eagerness = std::min(percent, 100u);
}
void rethrow_kernel_error() {
    const std::lock_guard lock(runtime().mutex);
    if (runtime().kernel_error) {
        std::rethrow_exception(std::exchange(runtime().kernel_error, nullptr));
    }
}
void reset() {
    Runtime& r = runtime();
    const std::lock_guard lock(r.mutex);
    r.streams.drop();
    r.peak = r.used;
    r.capacity = kDeviceBytes;
    r.devices = 1;
    r.device_error = r.failure = r.sticky_error = cudaSuccess;
    r.calls = r.calls_to_failure = 0;
    r.failure_is_sticky = false;
    r.eagerness = 0;
    last_error = cudaSuccess;
    current_device = 0;
    set_seed(0);
    rethrow_kernel_error();
}

}  // namespace qbnorm_host

using namespace qbnorm_host;

const char* cudaGetErrorName(cudaError_t error) {
    switch (error) {
#define QBNORM_HOST_NAME(name, number, text) \
    case name:                               \
        return #name;
        QBNORM_HOST_ERRORS(QBNORM_HOST_NAME)
#undef QBNORM_HOST_NAME
    }
    return "unrecognized error code";
}
const char* cudaGetErrorString(cudaError_t error) {
    switch (error) {
#define QBNORM_HOST_TEXT(name, number, text) \
    case name:                               \
        return text;
        QBNORM_HOST_ERRORS(QBNORM_HOST_TEXT)
#undef QBNORM_HOST_TEXT
    }
    return "unrecognized error code";
}
cudaError_t cudaGetLastError() {
    const cudaError_t error = cudaPeekAtLastError();
    last_error = cudaSuccess;
    return error;
}
cudaError_t cudaPeekAtLastError() {
    return call([] { return last_error; }, false);
}

cudaError_t cudaDriverGetVersion(int* version) {
    return call(
        [=] {
            const bool old =
                runtime().device_error == cudaErrorInsufficientDriver;
            *version = old ? CUDART_VERSION - 1000 : CUDART_VERSION;
            return cudaSuccess;
        },
        false);
}
cudaError_t cudaRuntimeGetVersion(int* version) {
    return call(
        [=] {
            *version = CUDART_VERSION;
            return cudaSuccess;
        },
        false);
}
cudaError_t cudaGetDeviceCount(int* count) {
    *count = 0;
    return call([=] {
        *count = runtime().devices;
        return cudaSuccess;
    });
}
cudaError_t cudaSetDevice(int device) {
    return call([=] {
        if (device < 0 || device >= runtime().devices) {
            return cudaErrorInvalidDevice;
        }
        current_device = device;
        return cudaSuccess;
    });
}
cudaError_t cudaGetDevice(int* device) {
    return call([=] {
        *device = current_device;
        return cudaSuccess;
    });
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute,
                                   int device) {
    return call([=] {
        if (device < 0 || device >= runtime().devices) {
            return cudaErrorInvalidDevice;
        }
        switch (attribute) {
            case cudaDevAttrMaxThreadsPerBlock:
                *value = int(kMaxThreads);
                break;
            case cudaDevAttrMaxGridDimX:
                *value = std::numeric_limits<int>::max();
                break;
            case cudaDevAttrMaxGridDimY:
            case cudaDevAttrMaxGridDimZ:
                *value = 65535;
                break;
            case cudaDevAttrMaxSharedMemoryPerBlock:
                *value = 48 << 10;
                break;
            case cudaDevAttrWarpSize:
                *value = warpSize;
                break;
            case cudaDevAttrMultiProcessorCount:
                *value = 4;
                break;
            case cudaDevAttrL2CacheSize:
                *value = 50 << 20;
                break;
            case cudaDevAttrMaxThreadsPerMultiProcessor:
                *value = 2048;
                break;
            case cudaDevAttrComputeCapabilityMajor:
                *value = 9;
                break;
            case cudaDevAttrComputeCapabilityMinor:
                *value = 0;
                break;
            case cudaDevAttrMaxSharedMemoryPerBlockOptin:
                *value = 227 << 10;
                break;
            default:
                return cudaErrorInvalidValue;
        }
        return cudaSuccess;
    });
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    return call([=] {
        if (device < 0 || device >= runtime().devices) {
            return cudaErrorInvalidDevice;
        }
        *properties = {
            .name = "a host that stands in for a device",
            .totalGlobalMem = runtime().capacity,
            .sharedMemPerBlock = 48 << 10,
            .regsPerBlock = 65536,
            .warpSize = warpSize,
            .maxThreadsPerBlock = int(kMaxThreads),
            .maxThreadsDim = {1024, 1024, 64},
            .maxGridSize = {std::numeric_limits<int>::max(), 65535, 65535},
            .major = 9,
            .minor = 0,
            .multiProcessorCount = 4,
            .integrated = 0,
            .concurrentKernels = 1,
            .asyncEngineCount = 2,
            .l2CacheSize = 50 << 20,
            .maxThreadsPerMultiProcessor = 2048,
            .sharedMemPerBlockOptin = 227 << 10};
        return cudaSuccess;
    });
}
cudaError_t cudaDeviceSynchronize() {
    return call([] {
        drain();
        return cudaSuccess;
    });
}
