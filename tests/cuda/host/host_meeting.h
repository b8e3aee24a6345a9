// Where the threads of a kernel meet, and what they see of their place.
#pragma once

#include <cstdint>

#include "host_schedule.h"
#include "vector_types.h"

namespace qbnorm_host {

/// What CUDA's threadIdx and its likes show; written by Blocks alone.
inline uint3 thread_index;
inline uint3 block_index;
inline dim3 block_size;
inline dim3 grid_size;

/// A kind of operation at which the threads of a warp or of a block meet. Two
/// threads are at the same kind if they are at the same object.
struct Meeting {
    const char* name;
    bool of_block = false;
};

/// What the 32 lanes of a warp brought to a meeting.
struct Exchange {
    std::uint64_t values[kWarpSize];
    std::uint64_t result;
    bool reduced;

    /// f(values), computed by the first lane that asks.
    template <typename F>
    std::uint64_t once(F f) {
        if (!reduced) {
            result = f(values);
            reduced = true;
        }
        return result;
    }
};

}  // namespace qbnorm_host
