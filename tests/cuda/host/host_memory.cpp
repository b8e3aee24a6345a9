// The runtime's memory: allocations, copies, fills.
#include <cstdlib>
#include <cstring>
#include <memory>

#include "host_state.h"

namespace qbnorm_host {
namespace {

[[noreturn]] void fail(const std::string& what) {
    throw std::logic_error(what);
}

// Throws unless the host may use [memory, memory + bytes). True if pinned.
bool check_host_memory(const void* memory, std::size_t bytes,
                       const char* what) {
    const auto it = runtime().find(memory);
    if (it == runtime().allocations.end()) {
        return false;
    }
    if (it->second.device_memory) {
        fail(what + std::string(": device memory, where the host's belongs"));
    }
    const auto offset =
        std::size_t(static_cast<const char*>(memory) - it->first);
    if (bytes > it->second.size - offset) {
        fail(what + std::string(": beyond its pinned allocation"));
    }
    return true;
}

bool is_device_memory(const void* memory) {
    const auto it = runtime().find(memory);
    return it != runtime().allocations.end() && it->second.device_memory;
}

cudaError_t allocate(void** memory, std::size_t size, bool device_memory) {
    Runtime& r = runtime();
    if (memory == nullptr) {
        return cudaErrorInvalidValue;
    }
    if (size == 0) {
        *memory = nullptr;
        return cudaSuccess;
    }
    if (device_memory && (r.used > r.capacity || size > r.capacity - r.used)) {
        return cudaErrorMemoryAllocation;
    }
    void* made = nullptr;
    if (posix_memalign(&made, 256, size) != 0) {
        return cudaErrorMemoryAllocation;
    }
    std::memset(made, kPoison, size);
    r.allocations[static_cast<char*>(made)] = {size, device_memory,
                                               current_device};
    if (device_memory) {
        r.used += size;
        r.peak = std::max(r.peak, r.used);
    }
    *memory = made;
    return cudaSuccess;
}

cudaError_t free_memory(void* memory, bool device_memory) {
    return release([=] {
        Runtime& r = runtime();
        if (memory == nullptr) {
            return;
        }
        release([] { drain(); });
        const auto it = r.allocations.find(static_cast<char*>(memory));
        if (it == r.allocations.end() ||
            it->second.device_memory != device_memory) {
            fail("freed, but not allocated, or freed before");
        }
        r.used -= device_memory ? it->second.size : 0;
        r.allocations.erase(it);
        std::free(memory);
    });
}

struct Area {
    char* to;
    std::size_t to_pitch;
    const char* from;
    std::size_t from_pitch, width, height;

    void copy() const {
        for (std::size_t row = 0; row < height; ++row) {
            std::memmove(to + row * to_pitch, from + row * from_pitch, width);
        }
    }
};

// Queues a copy. Of pageable memory the host copies at once, as CUDA does.
cudaError_t copy(Area area, cudaMemcpyKind kind, cudaStream_t stream) {
    if (area.width == 0 || area.height == 0) {
        stream_of(stream);
        return cudaSuccess;
    }
    if (area.width > area.to_pitch || area.width > area.from_pitch) {
        return cudaErrorInvalidPitchValue;
    }
    if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault) {
        return cudaErrorInvalidMemcpyDirection;
    }
    const bool guess = kind == cudaMemcpyDefault;
    const bool from_device =
        guess ? is_device_memory(area.from) : (kind & 2) != 0;
    const bool to_device = guess ? is_device_memory(area.to)
                                 : kind == cudaMemcpyHostToDevice ||
                                       kind == cudaMemcpyDeviceToDevice;
    const std::size_t to_bytes = (area.height - 1) * area.to_pitch + area.width;
    const std::size_t from_bytes =
        (area.height - 1) * area.from_pitch + area.width;
    if (to_device) {
        check_device_memory(area.to, to_bytes, "a copy's destination");
    } else {
        check_host_memory(area.to, to_bytes, "a copy's destination");
    }
    if (from_device) {
        check_device_memory(area.from, from_bytes, "a copy's source");
    } else if (!check_host_memory(area.from, from_bytes, "a copy's source")) {
        const auto staged =
            std::make_shared<std::vector<char>>(area.width * area.height);
        Area{staged->data(),  area.width, area.from,
             area.from_pitch, area.width, area.height}
            .copy();
        area.from = staged->data();
        area.from_pitch = area.width;
        push(stream, {.run = [area, staged] { area.copy(); }});
        return cudaSuccess;
    }
    push(stream, {.run = [area] { area.copy(); }});
    return cudaSuccess;
}

Area area_of(void* to, std::size_t to_pitch, const void* from,
             std::size_t from_pitch, std::size_t width, std::size_t height) {
    return {static_cast<char*>(to),
            to_pitch,
            static_cast<const char*>(from),
            from_pitch,
            width,
            height};
}

cudaError_t set(void* memory, int value, std::size_t count,
                cudaStream_t stream) {
    if (count != 0) {
        check_device_memory(memory, count, "a memset");
    }
    push(stream, {.run = [=] {
             if (count != 0) {
                 std::memset(memory, value, count);
             }
         }});
    return cudaSuccess;
}

}  // namespace

void check_device_memory(const void* memory, std::size_t bytes,
                         const char* what) {
    const Runtime& r = runtime();
    const auto it = r.find(memory);
    if (it == r.allocations.end() || !it->second.device_memory) {
        fail(what + std::string(": not in device memory"));
    }
    const auto offset =
        std::size_t(static_cast<const char*>(memory) - it->first);
    if (bytes > it->second.size - offset) {
        fail(what + std::string(": ") + std::to_string(bytes) + " bytes, " +
             std::to_string(it->second.size - offset) +
             " are left of the allocation");
    }
}

}  // namespace qbnorm_host

using namespace qbnorm_host;

cudaError_t cudaMalloc(void** memory, size_t size) {
    return call([=] { return allocate(memory, size, true); });
}
cudaError_t cudaFree(void* memory) {
    return free_memory(memory, true);
}
cudaError_t cudaMallocHost(void** memory, size_t size) {
    return call([=] { return allocate(memory, size, false); });
}
cudaError_t cudaHostAlloc(void** memory, size_t size, unsigned int) {
    return cudaMallocHost(memory, size);
}
cudaError_t cudaFreeHost(void* memory) {
    return free_memory(memory, false);
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
    return call([=] {
        const Runtime& r = runtime();
        *total = r.capacity;
        *free = r.capacity - std::min(r.used, r.capacity);
        return cudaSuccess;
    });
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes,
                                     const void* memory) {
    return call([=] {
        const Runtime& r = runtime();
        const auto it = r.find(memory);
        void* pointer = const_cast<void*>(memory);
        if (it == r.allocations.end()) {
            *attributes = {cudaMemoryTypeUnregistered, -2, nullptr, pointer};
        } else if (it->second.device_memory) {
            *attributes = {cudaMemoryTypeDevice, it->second.device, pointer,
                           nullptr};
        } else {
            *attributes = {cudaMemoryTypeHost, it->second.device, pointer,
                           pointer};
        }
        return cudaSuccess;
    });
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t count,
                       cudaMemcpyKind kind) {
    return cudaMemcpy2D(to, count, from, count, count, 1, kind);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t count,
                            cudaMemcpyKind kind, cudaStream_t stream) {
    return cudaMemcpy2DAsync(to, count, from, count, count, 1, kind, stream);
}
cudaError_t cudaMemcpy2D(void* to, size_t to_pitch, const void* from,
                         size_t from_pitch, size_t width, size_t height,
                         cudaMemcpyKind kind) {
    return call([=] {
        const cudaError_t error =
            copy(area_of(to, to_pitch, from, from_pitch, width, height), kind,
                 nullptr);
        synchronize(nullptr);
        return error;
    });
}
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from,
                              size_t from_pitch, size_t width, size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream) {
    return call([=] {
        return copy(area_of(to, to_pitch, from, from_pitch, width, height),
                    kind, stream);
    });
}
cudaError_t cudaMemset(void* memory, int value, size_t count) {
    return cudaMemsetAsync(memory, value, count, nullptr);
}
cudaError_t cudaMemsetAsync(void* memory, int value, size_t count,
                            cudaStream_t stream) {
    return call([=] { return set(memory, value, count, stream); });
}
