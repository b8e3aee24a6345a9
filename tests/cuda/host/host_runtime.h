// Steers the host's stand-in for the CUDA runtime, and what its other parts
// share. What is wrong in any CUDA is a std::logic_error, not a cudaError_t:
// a copy outside an allocation, an unknown handle, threads that do not meet.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda_runtime.h"

namespace qbnorm_host {

/// What has been made and not been freed.
struct LiveObjects {
    std::size_t device_allocations = 0;
    std::size_t pinned_allocations = 0;
    std::size_t streams = 0;
    std::size_t events = 0;
    std::size_t cublas_handles = 0;
    bool operator==(const LiveObjects&) const = default;
};
LiveObjects live_objects();
/// API calls since the last reset() that could be made to fail: all but those
/// that free or that ask for an error or a version.
std::uint64_t call_count();

/// The n-th such call from now (1: the next) fails with `error`, cuBLAS with
/// its likeness. If sticky, so does each call after it, as on a device that has
/// failed: queued work is gone, only freeing still works.
void fail_call(std::uint64_t n, cudaError_t error, bool sticky = false);
/// How many devices there are; if there are none, or `error` is one, all that
/// needs a device fails (with cudaErrorNoDevice, or with `error`).
void set_device_count(int n, cudaError_t error = cudaSuccess);
/// How many bytes may still be allocated on the device.
void set_free_memory(std::size_t bytes);
/// Another seed, another order of streams, blocks, warps and lanes.
void set_seed(std::uint64_t seed);
/// After each call that puts work on a stream, some work is done at once with
/// this chance in percent, as a device would. 0 unless set: all work waits.
void set_eagerness(unsigned percent);
/// As at the start, but for the live objects. Queued work is dropped. Throws
/// what a kernel that ran while something was being freed could not throw; so
/// does each other call, but for those that free.
void reset();

}  // namespace qbnorm_host
