#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <utility>

#include "cuda/error.h"
#include "faiss_qbnorm/core/types.h"

/// Owners of what lives on a device. Destructors ignore errors: there is
/// nobody left to tell.

namespace faiss_qbnorm::cuda {

/// Makes a device the current one of this thread, for a scope.
class DeviceScope {
  public:
    explicit DeviceScope(int device) {
        check(cudaGetDevice(&before_), "asking for the current device");
        check(cudaSetDevice(device), "choosing a device");
    }
    ~DeviceScope() { cudaSetDevice(before_); }
    DeviceScope(const DeviceScope&) = delete;
    DeviceScope& operator=(const DeviceScope&) = delete;

  private:
    int before_ = 0;
};

/// Device memory; throws with the bytes needed and those free.
void* allocate_device(idx_t bytes);
/// Page-locked host memory, which copies run beside other work from.
void* allocate_pinned(idx_t bytes);

struct FreeDevice {
    static void* allocate(idx_t bytes) { return allocate_device(bytes); }
    static void free(void* memory) { cudaFree(memory); }
};
struct FreePinned {
    static void* allocate(idx_t bytes) { return allocate_pinned(bytes); }
    static void free(void* memory) { cudaFreeHost(memory); }
};

/// An uninitialised array of trivial elements.
template <class T, class Memory>
class Array {
  public:
    Array() = default;
    explicit Array(idx_t size) { reserve(size); }
    Array(Array&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)),
          size_(std::exchange(other.size_, 0)) {}
    Array& operator=(Array&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~Array() {
        if (data_) Memory::free(data_);
    }

    /// Room for `size` elements; what was held is lost where it must grow, and
    /// freed once the device is done with it (cudaFree and cudaFreeHost wait).
    T* reserve(idx_t size) {
        if (size > size_) {
            // By half at least, so that sizes that vary do not allocate often.
            if (size_ > 0)
                size = size > size_ + size_ / 2 ? size : size_ + size_ / 2;
            *this = Array();
            data_ = static_cast<T*>(
                Memory::allocate(size * static_cast<idx_t>(sizeof(T))));
            size_ = size;
        }
        return data_;
    }

    T* data() const { return data_; }
    idx_t size() const { return size_; }

  private:
    T* data_ = nullptr;
    idx_t size_ = 0;
};

template <class T>
using DeviceArray = Array<T, FreeDevice>;
template <class T>
using PinnedArray = Array<T, FreePinned>;

class Event {
  public:
    Event() {
        check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming),
              "creating an event");
    }
    ~Event() { cudaEventDestroy(event_); }
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    void record(cudaStream_t stream) {
        check(cudaEventRecord(event_, stream), "recording an event");
    }
    /// What `stream` is given from now on waits for the last record.
    void hold(cudaStream_t stream) const {
        check(cudaStreamWaitEvent(stream, event_, 0), "waiting for an event");
    }
    void wait() const {
        check(cudaEventSynchronize(event_), "waiting for the device");
    }

  private:
    cudaEvent_t event_ = nullptr;
};

class Stream {
  public:
    Stream() {
        check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking),
              "creating a stream");
    }
    /// Waits: what the stream uses may go after it.
    ~Stream() {
        cudaStreamSynchronize(stream_);
        cudaStreamDestroy(stream_);
    }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    operator cudaStream_t() const { return stream_; }  // NOLINT: is one
    void wait() const {
        check(cudaStreamSynchronize(stream_), "waiting for the device");
    }

  private:
    cudaStream_t stream_ = nullptr;
};

/// A cuBLAS handle that works on one stream.
class Blas {
  public:
    explicit Blas(cudaStream_t stream);
    ~Blas() { cublasDestroy(handle_); }
    Blas(const Blas&) = delete;
    Blas& operator=(const Blas&) = delete;

    operator cublasHandle_t() const { return handle_; }  // NOLINT: is one

  private:
    cublasHandle_t handle_ = nullptr;
};

/// Copies `n` elements, in either direction, in the stream's order.
template <class T>
void copy(T* to, const T* from, idx_t n, cudaMemcpyKind kind,
          cudaStream_t stream) {
    if (n > 0) {
        check(cudaMemcpyAsync(to, from, n * sizeof(T), kind, stream),
              "copying");
    }
}

template <class T>
void to_device(T* to, const T* from, idx_t n, cudaStream_t stream) {
    copy(to, from, n, cudaMemcpyHostToDevice, stream);
}

template <class T>
void to_host(T* to, const T* from, idx_t n, cudaStream_t stream) {
    copy(to, from, n, cudaMemcpyDeviceToHost, stream);
}

/// Sets `n` elements' bytes to zero, in the stream's order.
template <class T>
void clear(T* data, idx_t n, cudaStream_t stream) {
    if (n > 0) {
        check(cudaMemsetAsync(data, 0, n * sizeof(T), stream), "clearing");
    }
}

}  // namespace faiss_qbnorm::cuda
