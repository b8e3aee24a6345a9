// What the stand-in for the CUDA runtime knows, and how its calls begin.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "host_runtime.h"
#include "host_streams.h"

namespace qbnorm_host {

constexpr std::size_t kDeviceBytes = std::size_t{1} << 30;
constexpr int kPoison = 0xFB;  // floats of -2.6e36, large integers

struct Allocation {
    std::size_t size;
    bool device_memory;
    int device;
};

struct Runtime {
    std::recursive_mutex mutex;
    Streams streams;
    std::vector<CUevent_st*> events;
    std::map<const char*, Allocation> allocations;
    std::size_t cublas_handles = 0;
    std::size_t used = 0;
    std::size_t peak = 0;
    std::size_t capacity = kDeviceBytes;
    int devices = 1;
    cudaError_t device_error = cudaSuccess;
    std::uint64_t calls = 0;
    std::uint64_t calls_to_failure = 0;
    cudaError_t failure = cudaSuccess;
    bool failure_is_sticky = false;
    cudaError_t sticky_error = cudaSuccess;
    unsigned eagerness = 0;
    std::exception_ptr kernel_error;

    ~Runtime() {
        if (kernel_error) {  // no test has seen it
            std::fputs("a kernel's error was never thrown\n", stderr);
            std::_Exit(1);
        }
    }

    // The allocation that `memory` points into, if any.
    std::map<const char*, Allocation>::const_iterator find(
        const void* memory) const {
        const char* address = static_cast<const char*>(memory);
        auto it = allocations.upper_bound(address);
        if (it == allocations.begin()) {
            return allocations.end();
        }
        --it;
        const auto inside = std::size_t(address - it->first);
        return inside < it->second.size ? it : allocations.end();
    }
};

Runtime& runtime();
extern thread_local int current_device;
extern thread_local cudaError_t last_error;

/// Throws unless the stream, or the event, lives.
CUstream_st* stream_of(cudaStream_t stream);
CUevent_st* event_of(cudaEvent_t event);
/// Puts work on a stream; may run some.
void push(cudaStream_t stream, Work work);
/// Runs until all work of a stream that is queued now is done.
void synchronize(cudaStream_t stream);
/// Runs all work.
void drain();

inline cudaError_t keep(cudaError_t error) {
    if (error != cudaSuccess) {
        last_error = error;
    }
    return error;
}

/// An API call: counted, perhaps made to fail, else f().
template <typename F>
cudaError_t call(F f, bool needs_device = true) {
    const std::lock_guard lock(runtime().mutex);
    const cudaError_t error = begin_call(needs_device);
    return keep(error != cudaSuccess ? error : f());
}

/// A call that frees: not counted, and what it finds is thrown by a later call,
/// because destructors make it.
template <typename F>
cudaError_t release(F f) {
    Runtime& r = runtime();
    const std::lock_guard lock(r.mutex);
    try {
        f();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "while freeing: %s\n", error.what());
        r.kernel_error = std::current_exception();
    }
    return keep(r.sticky_error);
}

}  // namespace qbnorm_host
