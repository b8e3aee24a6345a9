#include "bench/gpu/references.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "faiss_qbnorm/core/error.h"

namespace bench {

using faiss_qbnorm::fail;
using faiss_qbnorm::require;
using faiss_qbnorm::cuda::check;
using faiss_qbnorm::cuda::to_device;
using faiss_qbnorm::cuda::to_host;

namespace {

/// Of [-1, 1), as a half holds them.
std::vector<__half> random_halves(idx_t size, std::uint32_t seed) {
    std::vector<__half> data(size);
#pragma omp parallel for
    for (idx_t i = 0; i < size; i++) {
        data[i] = __float2half_rn(
            static_cast<float>(hash(i, seed) >> 8) * 0x1p-23F - 1);
    }
    return data;
}

std::vector<std::byte> random_bytes(idx_t size, std::uint32_t seed) {
    std::vector<std::byte> data(size);
#pragma omp parallel for
    for (idx_t i = 0; i < size; i++) data[i] = std::byte(hash(i, seed) & 255);
    return data;
}

}  // namespace

References::References(const Setup& setup)
    : n_(setup.product_size),
      bytes_(setup.copy_bytes),
      a_(n_ * n_),
      b_(n_ * n_),
      c_(n_ * n_),
      from_(bytes_),
      to_(bytes_) {
    const auto a = random_halves(n_ * n_, 1);
    const auto b = random_halves(n_ * n_, 2);
    to_device(a_.data(), a.data(), n_ * n_, stream_);
    to_device(b_.data(), b.data(), n_ * n_, stream_);
    const auto piece = random_bytes(std::min(bytes_, idx_t{64} << 20), 3);
    for (idx_t begin = 0; begin < bytes_;) {
        const idx_t size =
            std::min(static_cast<idx_t>(piece.size()), bytes_ - begin);
        to_device(from_.data() + begin, piece.data(), size, stream_);
        begin += size;
    }
    stream_.wait();
}

void References::multiply() {
    const float one = 1;
    const float zero = 0;
    const int n = static_cast<int>(n_);
    check(
        cublasGemmEx(blas_, CUBLAS_OP_T, CUBLAS_OP_N, n, n, n, &one, a_.data(),
                     CUDA_R_16F, n, b_.data(), CUDA_R_16F, n, &zero, c_.data(),
                     CUDA_R_16F, n, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
        "multiplying for reference");
}

void References::copy() {
    check(cudaMemcpyAsync(to_.data(), from_.data(), bytes_,
                          cudaMemcpyDeviceToDevice, stream_),
          "copying for reference");
}

double References::products(int calls) {
    return seconds_of([&] {
        for (int i = 0; i < calls; i++) multiply();
        stream_.wait();
    });
}

double References::copies(int calls) {
    return seconds_of([&] {
        for (int i = 0; i < calls; i++) copy();
        stream_.wait();
    });
}

double References::product_work() const {
    return 2e-12 * static_cast<double>(n_) * static_cast<double>(n_) *
           static_cast<double>(n_);
}

double References::copy_work() const {
    return 2e-12 * static_cast<double>(bytes_);
}

void References::verify() {
    multiply();
    copy();
    std::vector<__half> a(n_);
    std::vector<__half> b(n_);
    for (const idx_t i : {idx_t{0}, n_ / 3, n_ - 1}) {
        const idx_t j = n_ - 1 - i / 2;
        __half found;
        to_host(a.data(), a_.data() + i * n_, n_, stream_);
        to_host(b.data(), b_.data() + j * n_, n_, stream_);
        to_host(&found, c_.data() + j * n_ + i, 1, stream_);
        stream_.wait();
        double right = 0;
        for (idx_t t = 0; t < n_; t++) {
            right += double{__half2float(a[t])} * __half2float(b[t]);
        }
        const double error = std::fabs(__half2float(found) - right);
        if (!(error <= 1e-3 * std::sqrt(static_cast<double>(n_)))) {
            fail("cuBLAS's product is ", __half2float(found), " instead of ",
                 right);
        }
    }
    const idx_t size = std::min(bytes_, idx_t{1} << 20);
    std::vector<std::byte> from(size);
    std::vector<std::byte> to(size);
    for (const idx_t begin : {idx_t{0}, bytes_ - size}) {
        to_host(from.data(), from_.data() + begin, size, stream_);
        to_host(to.data(), to_.data() + begin, size, stream_);
        stream_.wait();
        require(std::memcmp(from.data(), to.data(), size) == 0,
                "the device's copy differs");
    }
}

void bench_references(const Setup& setup, References& references,
                      Results& results) {
    references.verify();
    constexpr int calls = 10;
    results.add({"cublas",
                 {{"n", setup.product_size}, {"calls", calls}},
                 calls * references.product_work(),
                 "TFLOP/s",
                 {},
                 {}},
                repeat([&] { return references.products(calls); }));
    results.add({"copy",
                 {{"bytes", setup.copy_bytes}, {"calls", calls}},
                 calls * references.copy_work(),
                 "TB/s read and written",
                 {},
                 {}},
                repeat([&] { return references.copies(calls); }));
}

}  // namespace bench
