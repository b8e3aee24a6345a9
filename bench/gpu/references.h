#pragma once

#include <cuda_fp16.h>

#include <cstddef>

#include "bench/gpu/results.h"
#include "bench/gpu/setup.h"
#include "cuda/device.h"

namespace bench {

/// What the device does at best: cuBLAS's product of two square matrices of
/// random halves (sums in float), and a copy within its memory.
class References {
  public:
    explicit References(const Setup& setup);

    /// Throws unless both are right.
    void verify();

    /// Seconds of `calls` products or copies, one after the other.
    double products(int calls);
    double copies(int calls);

    /// Of one call: TFLOP, and TB read and written.
    double product_work() const;
    double copy_work() const;

    Reference product_reference(int calls) const {
        return {"cuBLAS fp16 " + std::to_string(n_) + "^3",
                calls * product_work()};
    }
    Reference copy_reference(int calls) const {
        return {"device copy", calls * copy_work()};
    }

  private:
    void multiply();
    void copy();

    idx_t n_;
    idx_t bytes_;
    faiss_qbnorm::cuda::DeviceArray<__half> a_;
    faiss_qbnorm::cuda::DeviceArray<__half> b_;
    faiss_qbnorm::cuda::DeviceArray<__half> c_;
    faiss_qbnorm::cuda::DeviceArray<std::byte> from_;
    faiss_qbnorm::cuda::DeviceArray<std::byte> to_;
    faiss_qbnorm::cuda::Stream stream_;  // last: its work ends before the rest
    faiss_qbnorm::cuda::Blas blas_{stream_};
};

void bench_references(const Setup& setup, References& references,
                      Results& results);

}  // namespace bench
