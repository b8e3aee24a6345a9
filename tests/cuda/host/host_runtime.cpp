#include "host_runtime.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "host_state.h"

namespace qbnorm_host {

thread_local int current_device = 0;
thread_local cudaError_t last_error = cudaSuccess;

State& state() {
    static State s;
    return s;
}

State::~State() {
    if (kernel_error) {  // no test has seen it
        std::fputs("a kernel's error was never thrown\n", stderr);
        std::_Exit(1);
    }
}

cudaError_t begin_call() {
    State& s = state();
    if (s.kernel_error) {
        std::rethrow_exception(std::exchange(s.kernel_error, nullptr));
    }
    ++s.calls;
    if (s.sticky_error != cudaSuccess) return s.sticky_error;
    if (s.calls_to_failure != 0 && --s.calls_to_failure == 0) {
        if (s.failure_is_sticky) {
            s.sticky_error = s.failure;
            drop_work();
        }
        return s.failure;
    }
    if (s.device_error != cudaSuccess) return s.device_error;
    return s.devices > 0 ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t release(const std::function<void()>& free) {
    State& s = state();
    const std::lock_guard lock(s.mutex);
    for (const auto& part : {std::function<void()>(drain), free}) {
        try {
            part();
        } catch (const std::exception& error) {
            std::fprintf(stderr, "while freeing: %s\n", error.what());
            s.kernel_error = std::current_exception();
        }
    }
    return keep(s.sticky_error);
}

LiveObjects live_objects() {
    const State& s = state();
    const std::lock_guard lock(state().mutex);
    const auto on_device =
        std::count_if(s.allocations.begin(), s.allocations.end(),
                      [](const auto& item) { return item.second.on_device; });
    return {std::size_t(on_device), s.allocations.size() - on_device,
            s.streams.size(), s.events.size(), s.handles.size()};
}
std::uint64_t call_count() {
    const std::lock_guard lock(state().mutex);
    return state().calls;
}
void fail_call(std::uint64_t n, cudaError_t error, bool sticky) {
    State& s = state();
    const std::lock_guard lock(s.mutex);
    s.calls_to_failure = n;
    s.failure = error;
    s.failure_is_sticky = sticky;
}
void set_device_count(int n, cudaError_t error) {
    const std::lock_guard lock(state().mutex);
    state().devices = n;
    state().device_error = error;
}
void set_free_memory(std::size_t bytes) {
    const std::lock_guard lock(state().mutex);
    state().capacity = state().used + bytes;
}
void set_seed(std::uint64_t seed) {
    const std::lock_guard lock(state().mutex);
    state().random.seed(seed);
    blocks.set_seed(seed);
}
void set_eagerness(unsigned percent) {
    const std::lock_guard lock(state().mutex);
    state().eagerness = std::min(percent, 100u);
}
void reset() {
    State& s = state();
    const std::lock_guard lock(s.mutex);
    drop_work();
    s.capacity = kDeviceBytes;
    s.devices = 1;
    s.device_error = s.sticky_error = last_error = cudaSuccess;
    s.calls = s.calls_to_failure = 0;
    s.eagerness = 0;
    current_device = 0;
    set_seed(0);
    if (s.kernel_error) {
        std::rethrow_exception(std::exchange(s.kernel_error, nullptr));
    }
}

}  // namespace qbnorm_host

using namespace qbnorm_host;

const char* cudaGetErrorName(cudaError_t error) {
    constexpr std::pair<cudaError_t, const char*> names[] = {
        {cudaSuccess, "cudaSuccess"},
        {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation"},
        {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver"},
        {cudaErrorNoDevice, "cudaErrorNoDevice"},
        {cudaErrorInvalidDevice, "cudaErrorInvalidDevice"},
        {cudaErrorECCUncorrectable, "cudaErrorECCUncorrectable"},
        {cudaErrorIllegalAddress, "cudaErrorIllegalAddress"},
        {cudaErrorLaunchTimeout, "cudaErrorLaunchTimeout"},
        {cudaErrorAssert, "cudaErrorAssert"},
        {cudaErrorHardwareStackError, "cudaErrorHardwareStackError"},
        {cudaErrorIllegalInstruction, "cudaErrorIllegalInstruction"},
        {cudaErrorMisalignedAddress, "cudaErrorMisalignedAddress"},
        {cudaErrorInvalidAddressSpace, "cudaErrorInvalidAddressSpace"},
        {cudaErrorInvalidPc, "cudaErrorInvalidPc"},
        {cudaErrorLaunchFailure, "cudaErrorLaunchFailure"},
    };
    for (const auto& [named, name] : names) {
        if (named == error) return name;
    }
    throw std::logic_error("not an error of CUDA, or not one known here");
}
const char* cudaGetErrorString(cudaError_t error) {
    return cudaGetErrorName(error);
}
cudaError_t cudaGetLastError() {
    const std::lock_guard lock(state().mutex);
    const cudaError_t error = std::exchange(last_error, cudaSuccess);
    return state().sticky_error != cudaSuccess ? state().sticky_error : error;
}

cudaError_t cudaDriverGetVersion(int* version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
    *count = 0;
    return call([=] { *count = state().devices; });
}
cudaError_t cudaSetDevice(int device) {
    return call([=] {
        if (device < 0 || device >= state().devices) {
            return cudaErrorInvalidDevice;
        }
        current_device = device;
        return cudaSuccess;
    });
}
cudaError_t cudaGetDevice(int* device) {
    return call([=] { *device = current_device; });
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
    return call([=] {
        *value = attribute == cudaDevAttrComputeCapabilityMajor ? 9 : 0;
    });
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
    return call([=] {
        *properties = {"a host that stands in for a device", state().capacity,
                       4, 50 << 20};
    });
}
