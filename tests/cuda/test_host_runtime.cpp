// The host's stand-in for the CUDA runtime and cuBLAS does what they do.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include "cublas_v2.h"
#include "cuda_runtime.h"
#include "host_runtime.h"

namespace {

namespace host = qbnorm_host;

using Error = std::logic_error;

__global__ void add_kernel(int* values, int n, int addend) {
    const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) values[i] += addend;
}
__global__ void divergent_kernel() {
    if (threadIdx.x != 3) __syncthreads();
}

template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), unsigned grid, unsigned block,
                   cudaStream_t stream, Arguments... arguments) {
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = block;
    config.stream = stream;
    return cudaLaunchKernelEx(&config, kernel, arguments...);
}

class HostRuntime : public testing::Test {
  protected:
    // What these make is freed at the end, the last first.
    cudaStream_t stream() {
        cudaStream_t s = nullptr;
        EXPECT_FALSE(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
        frees_.push_back([s] { cudaStreamDestroy(s); });
        return s;
    }
    cudaEvent_t event() {
        cudaEvent_t e = nullptr;
        EXPECT_FALSE(cudaEventCreate(&e));
        frees_.push_back([e] { cudaEventDestroy(e); });
        return e;
    }
    cublasHandle_t handle(cudaStream_t s) {
        cublasHandle_t h = nullptr;
        EXPECT_FALSE(cublasCreate(&h));
        EXPECT_FALSE(cublasSetStream(h, s));
        frees_.push_back([h] { cublasDestroy(h); });
        return h;
    }
    template <class T = int>
    T* device(const std::vector<T>& values) {
        T* memory = nullptr;
        EXPECT_FALSE(cudaMalloc(&memory, sizeof(T) * values.size()));
        EXPECT_FALSE(cudaMemcpy(memory, values.data(),
                                sizeof(T) * values.size(),
                                cudaMemcpyHostToDevice));
        frees_.push_back([memory] { cudaFree(memory); });
        return memory;
    }
    int* pinned() {
        int* memory = nullptr;
        EXPECT_FALSE(cudaMallocHost(&memory, 4));
        frees_.push_back([memory] { cudaFreeHost(memory); });
        return memory;
    }

    void SetUp() override { host::reset(); }
    void free_all() {
        for (; !frees_.empty(); frees_.pop_back()) frees_.back()();
    }
    void TearDown() override {
        free_all();
        host::reset();
        EXPECT_EQ(host::live_objects(), host::LiveObjects{});
    }

  private:
    std::vector<std::function<void()>> frees_;
};

TEST_F(HostRuntime, KernelsWaitUntilSynchronized) {
    int* values = device({1, 2, 3});
    cudaStream_t s = stream();
    int addend = 10;
    EXPECT_EQ(launch(add_kernel, 2, 32, s, values, 3, addend), cudaSuccess);
    addend = 20;  // the launch has its own
    EXPECT_EQ(values[0], 1);
    EXPECT_EQ(cudaStreamSynchronize(s), cudaSuccess);
    EXPECT_EQ(values[0], 11);
    EXPECT_EQ(values[2], 13);
    EXPECT_THROW(launch(add_kernel, 0, 32, s, values, 3, 1), Error);
    EXPECT_THROW(launch(add_kernel, 1, 32, nullptr, values, 3, 1), Error);
    host::set_eagerness(100);
    EXPECT_EQ(launch(add_kernel, 2, 32, s, values, 3, 1), cudaSuccess);
    EXPECT_EQ(values[0], 12);
}

TEST_F(HostRuntime, EventsOrderStreams) {
    int wrong = 0;
    for (const bool waits : {false, true}) {
        for (unsigned seed = 0; seed < 100; ++seed) {
            host::set_seed(seed);
            int* x = device({1});
            int* result = pinned();
            cudaStream_t a = stream();
            cudaStream_t b = stream();
            cudaEvent_t e = event();
            launch(add_kernel, 1, 32, a, x, 1, 10);
            cudaEventRecord(e, a);
            if (waits) cudaStreamWaitEvent(b, e);
            cudaEventRecord(e, stream());  // the wait is for the first one
            cudaMemcpyAsync(result, x, 4, cudaMemcpyDeviceToHost, b);
            EXPECT_EQ(cudaStreamSynchronize(b), cudaSuccess);
            EXPECT_TRUE(*result == 11 || !waits);
            wrong += *result != 11;
            free_all();
        }
    }
    EXPECT_GT(wrong, 10);
}

TEST_F(HostRuntime, EventsThatAreDoneOrUnknown) {
    cudaStream_t s = stream();
    cudaEvent_t e = event();
    EXPECT_EQ(cudaEventSynchronize(e), cudaSuccess);  // never recorded
    int* x = device({0});
    launch(add_kernel, 1, 32, s, x, 1, 1);
    cudaEventRecord(e, s);
    EXPECT_EQ(cudaEventSynchronize(e), cudaSuccess);
    EXPECT_EQ(*x, 1);
    float milliseconds = 0;
    EXPECT_EQ(cudaEventElapsedTime(&milliseconds, e, e), cudaSuccess);
    EXPECT_GT(milliseconds, 0);
    EXPECT_EQ(host::live_objects(), (host::LiveObjects{1, 0, 1, 1, 0}));
    EXPECT_THROW(cudaEventSynchronize(nullptr), Error);
    EXPECT_THROW(cudaStreamSynchronize(nullptr), Error);
    EXPECT_THROW(cudaStreamSynchronize(cudaStream_t(x)), Error);
}

TEST_F(HostRuntime, PageableIsStagedPinnedIsNot) {
    int* x = device({0, 0});
    int pageable = 1;
    int* locked = pinned();
    EXPECT_EQ(*locked, int(0xFBFBFBFB));
    *locked = 1;
    cudaStream_t s = stream();
    cudaMemcpyAsync(x, &pageable, 4, cudaMemcpyHostToDevice, s);
    cudaMemcpyAsync(x + 1, locked, 4, cudaMemcpyHostToDevice, s);
    pageable = *locked = 2;
    EXPECT_EQ(cudaStreamSynchronize(s), cudaSuccess);
    EXPECT_EQ(x[0], 1);
    EXPECT_EQ(x[1], 2);
    cudaMemcpyAsync(&pageable, x, 4, cudaMemcpyDeviceToHost, s);
    EXPECT_EQ(pageable, 2);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(pageable, 1);
}

TEST_F(HostRuntime, MemoryErrorsThrow) {
    int* x = device({1, 2});
    int* locked = pinned();
    int y[2] = {};
    cudaStream_t s = stream();
    const auto copy = [s](void* to, const void* from, cudaMemcpyKind kind) {
        cudaMemcpyAsync(to, from, 8, kind, s);
    };
    EXPECT_THROW(copy(y, y, cudaMemcpyHostToDevice), Error);
    EXPECT_THROW(copy(x, y, cudaMemcpyDeviceToHost), Error);
    EXPECT_THROW(copy(x + 1, x, cudaMemcpyDeviceToDevice), Error);
    EXPECT_THROW(copy(x, x + 1, cudaMemcpyDeviceToDevice), Error);
    EXPECT_THROW(copy(x, locked, cudaMemcpyHostToDevice), Error);
    EXPECT_THROW(cudaMemcpy(x, y, 9, cudaMemcpyHostToDevice), Error);
    EXPECT_THROW(cudaMemsetAsync(x, 0, 9, s), Error);
    cudaFree(y);
    EXPECT_THROW(host::reset(), Error);
    cudaFreeHost(x);
    EXPECT_THROW(host::reset(), Error);
}

TEST_F(HostRuntime, MemoryHasAnEnd) {
    host::set_free_memory(1000);
    int* a = nullptr;
    int* b = nullptr;
    EXPECT_EQ(cudaMalloc(&a, 400), cudaSuccess);
    EXPECT_EQ(a[99], int(0xFBFBFBFB));
    EXPECT_EQ(cudaMalloc(&b, 601), cudaErrorMemoryAllocation);
    EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
    size_t free = 0;
    size_t total = 0;
    EXPECT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
    EXPECT_EQ(free, 600u);
    EXPECT_EQ(total, 1000u);
    EXPECT_EQ(cudaMalloc(&b, 600), cudaSuccess);
    cudaFree(a);
    EXPECT_EQ(cudaMalloc(&a, 400), cudaSuccess);
    pinned();
    EXPECT_EQ(host::live_objects(), (host::LiveObjects{2, 1, 0, 0, 0}));
    cudaFree(a);
    cudaFree(b);
}

TEST_F(HostRuntime, KernelErrorsThrowWhereTheyAreWaitedFor) {
    cudaStream_t s = stream();
    EXPECT_EQ(launch(divergent_kernel, 1, 64, s), cudaSuccess);
    EXPECT_THROW(cudaStreamSynchronize(s), Error);
    EXPECT_EQ(cudaStreamSynchronize(s), cudaSuccess);
    // Freeing cannot throw: the next call does.
    EXPECT_EQ(launch(divergent_kernel, 1, 64, s), cudaSuccess);
    free_all();
    EXPECT_THROW(cudaDeviceSynchronize(), Error);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

TEST_F(HostRuntime, CallsFailOnDemand) {
    int* x = device({0});
    cudaStream_t s = stream();
    const auto calls = host::call_count();
    host::fail_call(2, cudaErrorLaunchFailure);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchFailure);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    EXPECT_EQ(host::call_count(), calls + 3);
    EXPECT_EQ(cudaMemsetAsync(x, 1, 4, s), cudaSuccess);
    host::fail_call(1, cudaErrorIllegalAddress, true);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
    EXPECT_EQ(cudaMemsetAsync(x, 1, 4, s), cudaErrorIllegalAddress);
    EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
    EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
    EXPECT_EQ(cudaFree(nullptr), cudaErrorIllegalAddress);
    EXPECT_EQ(*x, 0);  // queued work is gone
    EXPECT_STREQ(cudaGetErrorName(cudaErrorIllegalAddress),
                 "cudaErrorIllegalAddress");
}

TEST_F(HostRuntime, Devices) {
    int n = 0;
    EXPECT_EQ(cudaGetDeviceCount(&n), cudaSuccess);
    EXPECT_EQ(n, 1);
    EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
    EXPECT_EQ(cudaDeviceGetAttribute(&n, cudaDevAttrComputeCapabilityMajor, 0),
              cudaSuccess);
    EXPECT_EQ(n, 9);
    cudaDeviceProp properties{};
    EXPECT_EQ(cudaGetDeviceProperties(&properties, 0), cudaSuccess);
    EXPECT_EQ(properties.multiProcessorCount, 4);
    host::set_device_count(0);
    EXPECT_EQ(cudaGetDeviceCount(&n), cudaErrorNoDevice);
    EXPECT_EQ(n, 0);
    host::set_device_count(0, cudaErrorInsufficientDriver);
    EXPECT_EQ(cudaGetDeviceCount(&n), cudaErrorInsufficientDriver);
    EXPECT_EQ(cudaRuntimeGetVersion(&n), cudaSuccess);
    EXPECT_EQ(n, CUDART_VERSION);
    host::set_device_count(2);
    EXPECT_EQ(cudaSetDevice(1), cudaSuccess);
    EXPECT_EQ(cudaGetDevice(&n), cudaSuccess);
    EXPECT_EQ(n, 1);
}

TEST_F(HostRuntime, SeveralOsThreads) {
    std::vector<std::thread> threads;
    std::array<int, 4> results{};
    for (int i = 0; i < 4; ++i) {
        cudaStream_t s = stream();
        int* x = device(std::vector<int>(64));
        threads.emplace_back([s, x, &results, i] {
            for (int repeat = 0; repeat < 100; ++repeat) {
                launch(add_kernel, 2, 32, s, x, 64, i);
                cudaStreamSynchronize(s);
            }
            cudaMemcpyAsync(&results[i], x + 63, 4, cudaMemcpyDeviceToHost, s);
            cudaStreamSynchronize(s);
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(results, (std::array{0, 100, 200, 300}));
}

template <class T>
constexpr cudaDataType type_of =
    std::is_same_v<T, float> ? CUDA_R_32F : CUDA_R_16F;

class HostCublas : public HostRuntime {
  protected:
    // One product against a double loop; leading dimensions exceed the rows.
    template <class In, class Out>
    void check_product(bool ta, bool tb, float beta) {
        const int m = 21, n = 7, k = 11;
        const int lda = (ta ? k : m) + 3, ldb = (tb ? n : k) + 2, ldc = m + 1;
        std::mt19937 random(7);
        std::normal_distribution<float> normal;
        const auto values = [&]<class T>(int count, T) {
            std::vector<T> result(count);
            for (T& value : result) value = normal(random);
            return result;
        };
        const In* a = device(values(lda * (ta ? m : k), In()));
        const In* b = device(values(ldb * (tb ? k : n), In()));
        std::vector<Out> before = values(ldc * n, Out());
        if (beta == 0) before.assign(ldc * n, std::nanf(""));  // not to be read
        Out* c = device(before);
        const float alpha = 0.5f;
        cudaStream_t s = stream();
        ASSERT_FALSE(cublasGemmEx(handle(s), ta ? CUBLAS_OP_T : CUBLAS_OP_N,
                                  tb ? CUBLAS_OP_T : CUBLAS_OP_N, m, n, k,
                                  &alpha, a, type_of<In>, lda, b, type_of<In>,
                                  ldb, &beta, c, type_of<Out>, ldc,
                                  CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
        ASSERT_EQ(cudaStreamSynchronize(s), cudaSuccess);
        const double tolerance = std::is_same_v<Out, float> ? 1e-5 : 5e-3;
        for (int j = 0; j < n; ++j) {
            for (int i = 0; i < m; ++i) {
                double sum = 0;
                for (int p = 0; p < k; ++p) {
                    sum += double(ta ? a[p + i * lda] : a[i + p * lda]) *
                           double(tb ? b[j + p * ldb] : b[p + j * ldb]);
                }
                const int at = i + j * ldc;
                const double old = beta == 0 ? 0 : before[at] * beta;
                EXPECT_NEAR(float(c[at]), alpha * sum + old, tolerance);
            }
            const int gap = m + j * ldc;  // below the column: untouched
            EXPECT_EQ(memcmp(&before[gap], &c[gap], sizeof(Out)), 0);
        }
    }
};

TEST_F(HostCublas, Products) {
    for (const bool ta : {false, true}) {
        for (const bool tb : {false, true}) {
            for (const float beta : {0.0f, 2.0f}) {
                check_product<float, float>(ta, tb, beta);
                check_product<__half, float>(ta, tb, beta);
                check_product<__half, __half>(ta, tb, beta);
            }
        }
    }
}

TEST_F(HostCublas, SumsInTheOrderOfK) {
    cudaStream_t s = stream();
    // Twice 2^24 + 1 rounds to 2^24; other orders sum up to more than 1.
    const float* values =
        device<float>({0x1p24f, 1, 1, -0x1p24f, 1, 1, 1, 1, 1, 1});
    float* sum = device<float>({7});
    const float one = 1;
    const float zero = 0;
    cublasGemmEx(handle(s), CUBLAS_OP_T, CUBLAS_OP_N, 1, 1, 5, &one, values,
                 CUDA_R_32F, 5, values + 5, CUDA_R_32F, 5, &zero, sum,
                 CUDA_R_32F, 1, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
    EXPECT_EQ(*sum, 7);
    cudaStreamSynchronize(s);
    EXPECT_EQ(*sum, 1);
}

TEST_F(HostCublas, Errors) {
    cublasHandle_t h = handle(stream());
    const float one = 1;
    int* memory = device(std::vector<int>(64, 0));
    const auto product = [&](int64_t lda, int64_t ldb, int64_t ldc,
                             cudaDataType c = CUDA_R_32F) {
        return cublasGemmEx_64(h, CUBLAS_OP_T, CUBLAS_OP_N, 2, 3, 4, &one,
                               memory, CUDA_R_32F, lda, memory + 16, CUDA_R_32F,
                               ldb, &one, memory + 32, c, ldc,
                               CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
    };
    EXPECT_EQ(product(4, 4, 2), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasSetMathMode(h, CUBLAS_DEFAULT_MATH), CUBLAS_STATUS_SUCCESS);
    EXPECT_THROW(product(3, 4, 2), Error);
    EXPECT_THROW(product(4, 3, 2), Error);
    EXPECT_THROW(product(4, 4, 1), Error);
    EXPECT_THROW(product(4, 4, 2, CUDA_R_16F), Error);
    EXPECT_THROW(product(4, 4, 20), Error);  // beyond the memory
    host::fail_call(1, cudaErrorLaunchFailure);
    EXPECT_EQ(product(4, 4, 2), CUBLAS_STATUS_EXECUTION_FAILED);
    EXPECT_STREQ(cublasGetStatusName(CUBLAS_STATUS_EXECUTION_FAILED),
                 "CUBLAS_STATUS_EXECUTION_FAILED");
    EXPECT_EQ(host::live_objects().cublas_handles, 1u);
    EXPECT_THROW(cublasSetStream(nullptr, nullptr), Error);
}

}  // namespace
