#pragma once

#include <cuda_runtime.h>
// A kernel of a header belongs to the source file that includes it; so do
// these tests' copies.
#undef __global__
#define __global__ [[maybe_unused]] static

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "cuda/device.h"
#include "cuda/launch.h"
#include "host_runtime.h"

/// Kernels on the stand-in, one at a time.

namespace kernels {

using faiss_qbnorm::idx_t;

constexpr std::uint64_t seeds[] = {0, 1, 77};

/// Calls `body` under several orders of blocks, warps and lanes.
template <class Body>
void for_seeds(Body body) {
    for (const std::uint64_t seed : seeds) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        qbnorm_host::set_seed(seed);
        body();
    }
    qbnorm_host::set_seed(0);
}

/// An array on the device, of exactly its size: AddressSanitizer sees what
/// reads or writes past it.
template <class T>
class OnDevice {
  public:
    explicit OnDevice(const std::vector<T>& content)
        : array_(static_cast<idx_t>(content.size())) {
        faiss_qbnorm::cuda::check(
            cudaMemcpy(array_.data(), content.data(),
                       content.size() * sizeof(T), cudaMemcpyHostToDevice),
            "filling");
    }
    OnDevice(idx_t size, const T& value)
        : OnDevice(std::vector<T>(size, value)) {}

    T* data() const { return array_.data(); }
    operator T*() const { return data(); }  // NOLINT: is one to kernels

    std::vector<T> read() const {
        std::vector<T> content(array_.size());
        faiss_qbnorm::cuda::check(
            cudaMemcpy(content.data(), array_.data(),
                       content.size() * sizeof(T), cudaMemcpyDeviceToHost),
            "reading");
        return content;
    }

  private:
    faiss_qbnorm::cuda::DeviceArray<T> array_;
};

/// Runs a kernel and waits.
template <class... Parameters, class... Arguments>
void run(void (*kernel)(Parameters...), dim3 grid, int threads,
         Arguments&&... arguments) {
    const faiss_qbnorm::cuda::Stream stream;
    faiss_qbnorm::cuda::launch(kernel, grid, threads, stream,
                               std::forward<Arguments>(arguments)...);
    stream.wait();
}

inline unsigned blocks(idx_t n, int of_a_block) {
    return static_cast<unsigned>((n + of_a_block - 1) / of_a_block);
}

/// Random multiples of 1/64 up to +-`most`: halves hold them, and floats their
/// sums and their products with powers of two, without rounding.
inline std::vector<float> lattice(idx_t n, int most, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::uniform_int_distribution<int> pick(-64 * most, 64 * most);
    std::vector<float> values(n);
    for (float& x : values) x = static_cast<float>(pick(random)) / 64;
    return values;
}

template <class To>
std::vector<To> as(const std::vector<float>& values) {
    return {values.begin(), values.end()};
}

}  // namespace kernels
