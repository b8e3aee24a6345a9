// What the parts of the stand-in share: its state, and how its calls begin.
#pragma once

#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "cublas_v2.h"
#include "host_runtime.h"

namespace qbnorm_host {

/// What a stream is to do.
struct Work {
    std::function<void()> run = {};
    std::shared_ptr<bool> after = {};    // not before this is true
    std::shared_ptr<bool> records = {};  // made true then
};

struct Allocation {
    std::size_t size;
    bool on_device;  // or pinned
};

}  // namespace qbnorm_host

struct CUstream_st {
    std::deque<qbnorm_host::Work> queue;
};
struct CUevent_st {
    std::shared_ptr<bool> done;  // of its last record
};
struct cublasContext {
    cudaStream_t stream = nullptr;
};

namespace qbnorm_host {

constexpr std::size_t kDeviceBytes = std::size_t{1} << 30;

struct State {
    std::recursive_mutex mutex;  // held by each call
    std::mt19937_64 random;
    unsigned eagerness = 0;
    std::vector<cudaStream_t> streams;
    std::set<cudaEvent_t> events;
    std::set<cublasHandle_t> handles;
    std::map<const char*, Allocation> allocations;
    std::size_t used = 0;
    std::size_t capacity = kDeviceBytes;
    int devices = 1;
    cudaError_t device_error = cudaSuccess;
    std::uint64_t calls = 0;
    std::uint64_t calls_to_failure = 0;
    cudaError_t failure = cudaSuccess;
    bool failure_is_sticky = false;
    cudaError_t sticky_error = cudaSuccess;
    std::exception_ptr kernel_error;  // met while something was being freed

    ~State();
};

State& state();
extern thread_local int current_device;
extern thread_local cudaError_t last_error;

/// Throws unless the stream, or the event, lives.
CUstream_st& stream_of(cudaStream_t stream);
CUevent_st& event_of(cudaEvent_t event);
/// Puts work on a stream; may run some.
void push(cudaStream_t stream, Work work);
/// Runs work of all streams at random until done().
void run_until(const std::function<bool()>& done);
/// Runs all work.
void drain();
/// Forgets all work, as a device that has failed.
void drop_work();

/// Throws unless [memory, memory + bytes) is within one allocation on the
/// device; or, for !on_device, if it is there, or ends outside a pinned one.
/// Whether it is within an allocation.
bool check_memory(const void* memory, std::size_t bytes, bool on_device,
                  const char* what);

/// Counts a call. What it must fail with, or cudaSuccess.
cudaError_t begin_call();

inline cudaError_t keep(cudaError_t error) {
    if (error != cudaSuccess) last_error = error;
    return error;
}

/// An API call: counted, perhaps made to fail, else f(), which may return an
/// error.
template <typename F>
cudaError_t call(F f) {
    const std::lock_guard lock(state().mutex);
    if (const cudaError_t error = begin_call()) return keep(error);
    if constexpr (std::is_void_v<decltype(f())>) {
        f();
        return cudaSuccess;
    } else {
        return keep(f());
    }
}

/// A call that frees, once all work is done. It is not counted, and destructors
/// make it: what it finds is thrown by a later call.
cudaError_t release(const std::function<void()>& free);

}  // namespace qbnorm_host
