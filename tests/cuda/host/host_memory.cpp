// The runtime's memory: allocations, copies, fills.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "host_state.h"

namespace qbnorm_host {

cudaError_t allocate(void** memory, std::size_t size, bool on_device) {
    constexpr int poison = 0xFB;  // floats of -2.6e36, large integers
    return call([=] {
        State& s = state();
        *memory = nullptr;
        if (size == 0) return cudaSuccess;
        const std::size_t free = s.capacity - std::min(s.used, s.capacity);
        if ((on_device && size > free) ||
            posix_memalign(memory, 256, size) != 0) {
            return cudaErrorMemoryAllocation;
        }
        std::memset(*memory, poison, size);
        s.allocations[static_cast<char*>(*memory)] = {size, on_device};
        if (on_device) s.used += size;
        return cudaSuccess;
    });
}

namespace {

cudaError_t free_memory(void* memory, bool on_device) {
    return release([=] {
        if (memory == nullptr) return;
        State& s = state();
        const auto it = s.allocations.find(static_cast<char*>(memory));
        if (it == s.allocations.end() || it->second.on_device != on_device) {
            throw std::logic_error("freed, but not allocated, or freed before");
        }
        if (on_device) s.used -= it->second.size;
        s.allocations.erase(it);
        std::free(memory);
    });
}

// Checks a copy. What makes it, later.
std::function<void()> copy(void* to, const void* from, std::size_t bytes,
                           cudaMemcpyKind kind) {
    if (bytes == 0) return [] {};
    check_memory(to, bytes, kind != cudaMemcpyDeviceToHost, "a copy's end");
    if (check_memory(from, bytes, kind != cudaMemcpyHostToDevice,
                     "a copy's source")) {
        return [=] { std::memmove(to, from, bytes); };
    }
    // Pageable memory is read at once, as by CUDA.
    const char* first = static_cast<const char*>(from);
    return [to, staged = std::vector<char>(first, first + bytes)] {
        std::memcpy(to, staged.data(), staged.size());
    };
}

}  // namespace

bool check_memory(const void* memory, std::size_t bytes, bool on_device,
                  const char* what) {
    const auto& allocations = state().allocations;
    const char* address = static_cast<const char*>(memory);
    auto it = allocations.upper_bound(address);
    it = it == allocations.begin() ? allocations.end() : std::prev(it);
    const bool inside = it != allocations.end() &&
                        std::size_t(address - it->first) < it->second.size;
    if ((inside && it->second.on_device) != on_device) {
        throw std::logic_error(what + std::string(on_device
                                                      ? ": not on the device"
                                                      : ": on the device"));
    }
    if (inside && bytes > it->second.size - std::size_t(address - it->first)) {
        throw std::logic_error(what + std::string(": beyond its allocation"));
    }
    return inside;
}

}  // namespace qbnorm_host

using namespace qbnorm_host;

cudaError_t cudaFree(void* memory) {
    return free_memory(memory, true);
}
cudaError_t cudaFreeHost(void* memory) {
    return free_memory(memory, false);
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
    return call([=] {
        *total = state().capacity;
        *free = *total - std::min(state().used, *total);
    });
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t count,
                            cudaMemcpyKind kind, cudaStream_t stream) {
    return call([=] { push(stream, {.run = copy(to, from, count, kind)}); });
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t count,
                       cudaMemcpyKind kind) {
    return call([=] {
        drain();
        copy(to, from, count, kind)();
    });
}
cudaError_t cudaMemsetAsync(void* memory, int value, size_t count,
                            cudaStream_t stream) {
    return call([=] {
        if (count != 0) check_memory(memory, count, true, "a memset");
        push(stream, {.run = [=] {
                 if (count != 0) std::memset(memory, value, count);
             }});
    });
}
