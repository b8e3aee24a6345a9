// The host's stand-in for the CUDA runtime, cuBLAS and CUB does what they do.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cub/device/device_segmented_sort.cuh>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "cublas_v2.h"
#include "cuda_fp16.h"
#include "cuda_runtime.h"
#include "host_runtime.h"

namespace {

namespace host = qbnorm_host;

__global__ void add_kernel(int* values, int n, int addend) {
    const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) {
        values[i] += addend;
    }
}
__global__ void divergent_kernel() {
    if (threadIdx.x == 3) {
        __syncwarp();
    } else {
        __syncthreads();
    }
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

template <class T>
T* allocate(std::size_t n) {
    T* memory = nullptr;
    EXPECT_EQ(cudaMalloc(&memory, n * sizeof(T)), cudaSuccess);
    return memory;
}

class HostRuntime : public testing::Test {
  protected:
    void SetUp() override { host::reset(); }
    void TearDown() override {
        host::reset();
        EXPECT_EQ(host::live_objects(), host::LiveObjects{});
        EXPECT_EQ(host::device_bytes_in_use(), 0u);
    }
    // Frees what the test has made, the last first.
    void later(std::function<void()> free) { frees_.push_back(free); }
    cudaStream_t stream(unsigned flags = cudaStreamNonBlocking) {
        cudaStream_t s = nullptr;
        EXPECT_EQ(cudaStreamCreateWithFlags(&s, flags), cudaSuccess);
        frees_.push_back([s] { cudaStreamDestroy(s); });
        return s;
    }
    int* ints(std::vector<int> values) {
        int* memory = allocate<int>(values.size());
        EXPECT_EQ(cudaMemcpy(memory, values.data(), 4 * values.size(),
                             cudaMemcpyHostToDevice),
                  cudaSuccess);
        frees_.push_back([memory] { cudaFree(memory); });
        return memory;
    }
    void free_all() {
        while (!frees_.empty()) {
            frees_.back()();
            frees_.pop_back();
        }
    }

  private:
    std::vector<std::function<void()>> frees_;
};

TEST_F(HostRuntime, KernelsWaitUntilSynchronized) {
    int* values = ints({1, 2, 3});
    cudaStream_t s = stream();
    int addend = 10;
    EXPECT_EQ(launch(add_kernel, 2, 32, s, values, 3, addend), cudaSuccess);
    addend = 20;  // the launch has its own
    EXPECT_EQ(values[0], 1);
    EXPECT_EQ(cudaStreamSynchronize(s), cudaSuccess);
    EXPECT_EQ(values[0], 11);
    EXPECT_EQ(values[2], 13);
    EXPECT_EQ(launch(add_kernel, 0, 32, s, values, 3, 1),
              cudaErrorInvalidConfiguration);
    EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    host::set_eagerness(100);
    EXPECT_EQ(launch(add_kernel, 2, 32, s, values, 3, 1), cudaSuccess);
    EXPECT_EQ(values[0], 12);
    free_all();
}

// What two streams make of x = (1 + 10) * 2, as x += 10; x += x.
int pipeline(unsigned seed, bool waits) {
    host::set_seed(seed);
    int* x = allocate<int>(1);
    const int one = 1;
    cudaMemcpy(x, &one, 4, cudaMemcpyHostToDevice);
    std::array<cudaStream_t, 2> streams{};
    for (auto& s : streams) {
        cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking);
    }
    cudaEvent_t event = nullptr;
    cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    launch(add_kernel, 1, 32, streams[0], x, 1, 10);
    cudaEventRecord(event, streams[0]);
    if (waits) {
        cudaStreamWaitEvent(streams[1], event);
    }
    cudaEventRecord(event, streams[1]);  // the wait is for the first record
    int* pinned = nullptr;
    cudaMallocHost(&pinned, 4);
    cudaMemcpyAsync(pinned, x, 4, cudaMemcpyDeviceToHost, streams[1]);
    EXPECT_EQ(cudaStreamSynchronize(streams[1]), cudaSuccess);
    const int result = *pinned;
    cudaFreeHost(pinned);
    cudaFree(x);
    for (auto& s : streams) {
        cudaStreamDestroy(s);
    }
    cudaEventDestroy(event);
    return result;
}

TEST_F(HostRuntime, EventsOrderStreams) {
    int wrong = 0;
    for (unsigned seed = 0; seed < 30; ++seed) {
        EXPECT_EQ(pipeline(seed, true), 11);
        wrong += pipeline(seed, false) != 11;
    }
    EXPECT_GT(wrong, 5);
}

TEST_F(HostRuntime, OnlyBlockingStreamsWaitForTheNullStream) {
    int wrong = 0;
    for (unsigned seed = 0; seed < 30; ++seed) {
        for (const unsigned flags :
             {cudaStreamDefault, cudaStreamNonBlocking}) {
            host::set_seed(seed);
            int* x = ints({7});
            int* y = ints({7});
            cudaStream_t s = stream(flags);
            EXPECT_EQ(cudaMemsetAsync(y, 0, 4, s), cudaSuccess);
            EXPECT_EQ(cudaMemset(x, 0, 4), cudaSuccess);
            launch(add_kernel, 1, 32, nullptr, y, 1, 1);
            launch(add_kernel, 1, 32, s, x, 1, 1);
            EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
            if (flags == cudaStreamDefault) {
                EXPECT_EQ(*x, 1);
                EXPECT_EQ(*y, 1);
            } else {
                wrong += *x != 1 || *y != 1;
            }
            free_all();
        }
    }
    EXPECT_GT(wrong, 5);
}

TEST_F(HostRuntime, PageableIsStagedPinnedIsNot) {
    int* device = ints({0, 0});
    int pageable = 1;
    int* pinned = nullptr;
    EXPECT_EQ(cudaHostAlloc(&pinned, 4, cudaHostAllocDefault), cudaSuccess);
    EXPECT_EQ(*pinned, int(0xFBFBFBFB));
    *pinned = 1;
    cudaStream_t s = stream();
    cudaMemcpyAsync(device, &pageable, 4, cudaMemcpyHostToDevice, s);
    cudaMemcpyAsync(device + 1, pinned, 4, cudaMemcpyHostToDevice, s);
    pageable = *pinned = 2;
    EXPECT_EQ(cudaStreamSynchronize(s), cudaSuccess);
    EXPECT_EQ(device[0], 1);
    EXPECT_EQ(device[1], 2);
    int back = 0;
    cudaMemcpyAsync(&back, device, 4, cudaMemcpyDeviceToHost, s);
    EXPECT_EQ(back, 0);
    EXPECT_EQ(cudaStreamQuery(s), cudaSuccess);
    EXPECT_EQ(back, 1);
    cudaFreeHost(pinned);
    free_all();
}

TEST_F(HostRuntime, CopiesOfRectangles) {
    int* device = ints(std::vector<int>(12, 0));
    const std::array<int, 6> matrix{1, 2, 3, 4, 5, 6};  // 2 x 3
    EXPECT_EQ(cudaMemcpy2DAsync(device, 24, matrix.data(), 12, 8, 2,
                                cudaMemcpyHostToDevice),
              cudaSuccess);
    cudaDeviceSynchronize();
    EXPECT_EQ(std::vector<int>(device, device + 12),
              (std::vector<int>{1, 2, 0, 0, 0, 0, 4, 5, 0, 0, 0, 0}));
    EXPECT_EQ(cudaMemcpy2DAsync(device, 4, matrix.data(), 12, 8, 2,
                                cudaMemcpyHostToDevice),
              cudaErrorInvalidPitchValue);
    free_all();
}

TEST_F(HostRuntime, MemoryErrorsThrow) {
    int* device = ints({1, 2});
    int value = 0;
    EXPECT_THROW(cudaMemcpy(&value, &value, 4, cudaMemcpyHostToDevice),
                 std::logic_error);
    EXPECT_THROW(cudaMemcpy(device, &value, 4, cudaMemcpyDeviceToHost),
                 std::logic_error);
    EXPECT_THROW(cudaMemcpy(device + 1, device, 8, cudaMemcpyDeviceToDevice),
                 std::logic_error);
    EXPECT_THROW(cudaMemset(device, 0, 9), std::logic_error);
    EXPECT_THROW(cudaStreamSynchronize(cudaStream_t(device)), std::logic_error);
    cudaFree(&value);
    EXPECT_THROW(host::rethrow_kernel_error(), std::logic_error);
    cudaPointerAttributes attributes{};
    EXPECT_EQ(cudaPointerGetAttributes(&attributes, device + 1), cudaSuccess);
    EXPECT_EQ(attributes.type, cudaMemoryTypeDevice);
    EXPECT_EQ(cudaPointerGetAttributes(&attributes, &value), cudaSuccess);
    EXPECT_EQ(attributes.type, cudaMemoryTypeUnregistered);
    free_all();
}

TEST_F(HostRuntime, MemoryHasAnEnd) {
    host::set_free_memory(1000);
    int* a = allocate<int>(100);
    EXPECT_EQ(a[99], int(0xFBFBFBFB));
    int* b = nullptr;
    EXPECT_EQ(cudaMalloc(&b, 601), cudaErrorMemoryAllocation);
    EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
    size_t free = 0;
    size_t total = 0;
    EXPECT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
    EXPECT_EQ(free, 600u);
    EXPECT_EQ(total, 1000u);
    EXPECT_EQ(cudaMalloc(&b, 600), cudaSuccess);
    EXPECT_EQ(host::live_objects(), (host::LiveObjects{2, 0, 0, 0, 0}));
    EXPECT_EQ(host::device_bytes_in_use(), 1000u);
    cudaFree(a);
    cudaFree(b);
    EXPECT_EQ(host::device_bytes_in_use(), 0u);
    EXPECT_EQ(host::device_bytes_peak(), 1000u);
}

TEST_F(HostRuntime, KernelErrorsThrowWhereTheyAreWaitedFor) {
    cudaStream_t s = stream();
    int* x = ints({0});
    EXPECT_EQ(launch(divergent_kernel, 1, 64, s), cudaSuccess);
    EXPECT_THROW(cudaStreamSynchronize(s), std::logic_error);
    EXPECT_EQ(cudaStreamSynchronize(s), cudaSuccess);
    // Freeing cannot throw: the next call does.
    EXPECT_EQ(launch(divergent_kernel, 1, 64, s), cudaSuccess);
    free_all();
    EXPECT_THROW(cudaDeviceSynchronize(), std::logic_error);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_THROW(launch(divergent_kernel, 1, 33, nullptr), std::logic_error);
    (void)x;
}

TEST_F(HostRuntime, CallsFailOnDemand) {
    int* x = nullptr;
    host::fail_call(2, cudaErrorLaunchFailure);
    EXPECT_EQ(cudaMalloc(&x, 4), cudaSuccess);
    EXPECT_EQ(cudaMemset(x, 0, 4), cudaErrorLaunchFailure);
    EXPECT_EQ(cudaMemset(x, 0, 4), cudaSuccess);
    EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
    EXPECT_EQ(host::call_count(), 4u);
    host::fail_call(1, cudaErrorIllegalAddress, true);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
    EXPECT_EQ(cudaMemset(x, 0, 4), cudaErrorIllegalAddress);
    EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
    EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
    EXPECT_EQ(cudaFree(x), cudaErrorIllegalAddress);  // and yet frees
    EXPECT_STREQ(cudaGetErrorName(cudaErrorIllegalAddress),
                 "cudaErrorIllegalAddress");
    EXPECT_STREQ(cudaGetErrorString(cudaErrorMemoryAllocation),
                 "out of memory");
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
    EXPECT_EQ(cudaDriverGetVersion(&n), cudaSuccess);
    EXPECT_LT(n, CUDART_VERSION);
    host::set_device_count(2);
    EXPECT_EQ(cudaSetDevice(1), cudaSuccess);
    cudaStream_t s = stream();
    EXPECT_EQ(cudaSetDevice(0), cudaSuccess);
    EXPECT_EQ(launch(divergent_kernel, 1, 64, s),
              cudaErrorInvalidResourceHandle);
    free_all();
}

TEST_F(HostRuntime, EventsHaveTimes) {
    cudaEvent_t a = nullptr;
    cudaEvent_t b = nullptr;
    EXPECT_EQ(cudaEventCreate(&a), cudaSuccess);
    EXPECT_EQ(cudaEventCreate(&b), cudaSuccess);
    float ms = -1;
    EXPECT_EQ(cudaEventElapsedTime(&ms, a, b), cudaErrorInvalidResourceHandle);
    cudaEventRecord(a);
    cudaEventRecord(b);
    EXPECT_EQ(cudaEventElapsedTime(&ms, a, b), cudaErrorNotReady);
    EXPECT_EQ(cudaEventQuery(b), cudaErrorNotReady);
    EXPECT_EQ(cudaEventSynchronize(b), cudaSuccess);
    EXPECT_EQ(cudaEventElapsedTime(&ms, a, b), cudaSuccess);
    EXPECT_GE(ms, 0);
    EXPECT_EQ(host::live_objects().events, 2u);
    cudaEventDestroy(a);
    cudaEventDestroy(b);
}

TEST_F(HostRuntime, SeveralOsThreads) {
    std::vector<std::thread> threads;
    std::array<int, 4> results{};
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&results, i] {
            cudaStream_t s = nullptr;
            cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking);
            int* x = allocate<int>(64);
            cudaMemsetAsync(x, 0, 256, s);
            for (int repeat = 0; repeat < 100; ++repeat) {
                launch(add_kernel, 2, 32, s, x, 64, i);
                cudaStreamSynchronize(s);
            }
            cudaMemcpyAsync(&results[i], x + 63, 4, cudaMemcpyDeviceToHost, s);
            cudaStreamSynchronize(s);
            cudaFree(x);
            cudaStreamDestroy(s);
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(results, (std::array{0, 100, 200, 300}));
}

TEST(HostHalf, AllValuesRoundTrip) {
    for (unsigned bits = 0; bits < 65536; ++bits) {
        const __half h = __ushort_as_half(static_cast<unsigned short>(bits));
        const float value = __half2float(h);
        const bool nan = (bits & 0x7fff) > 0x7c00;
        EXPECT_EQ(std::isnan(value), nan);
        EXPECT_EQ(__half_as_ushort(__float2half_rn(value)),
                  nan ? 0x7fff : bits);
        if (!nan && (bits & 0x7fff) != 0x7c00) {
            const int exponent = int(bits >> 10 & 31);
            const double fraction = bits & 1023;
            const double magnitude =
                exponent == 0 ? std::ldexp(fraction, -24)
                              : std::ldexp(1024 + fraction, exponent - 25);
            EXPECT_EQ(value, bits >> 15 ? -magnitude : magnitude);
        }
    }
}

TEST(HostHalf, RoundsToNearestEven) {
    // Around the middle of each two neighbours.
    for (unsigned bits = 0; bits < 0x7bff; ++bits) {
        const auto low = static_cast<unsigned short>(bits);
        const auto high = static_cast<unsigned short>(bits + 1);
        const float middle = (__half2float(__ushort_as_half(low)) +
                              __half2float(__ushort_as_half(high))) /
                             2;
        const float infinity = std::numeric_limits<float>::infinity();
        EXPECT_EQ(__half_as_ushort(__float2half_rn(middle)),
                  bits % 2 == 0 ? low : high);
        EXPECT_EQ(__half_as_ushort(__float2half(std::nextafter(middle, 0.0f))),
                  low);
        EXPECT_EQ(
            __half_as_ushort(__float2half(-std::nextafter(middle, infinity))),
            high | 0x8000);
    }
    EXPECT_EQ(__half_as_ushort(__float2half_rn(65519.996f)), 0x7bff);
    EXPECT_EQ(__half_as_ushort(__float2half_rn(65520.0f)), 0x7c00);
    EXPECT_EQ(__half_as_ushort(__float2half_rn(-1e30f)), 0xfc00);
    EXPECT_EQ(__half_as_ushort(__float2half_rn(-0.0f)), 0x8000);
    EXPECT_EQ(__half22float2(__floats2half2_rn(1, -2)).y, -2);
}

template <class T>
constexpr cudaDataType type_of =
    std::is_same_v<T, float> ? CUDA_R_32F : CUDA_R_16F;

// One product against a double loop, whose leading dimensions exceed the rows.
template <class In, class Out>
void check_product(cublasHandle_t handle, cudaStream_t stream, bool ta, bool tb,
                   float beta) {
    const int m = 5, n = 7, k = 11;
    const int lda = (ta ? k : m) + 3, ldb = (tb ? n : k) + 2, ldc = m + 1;
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    const auto fill = [&](auto* values, int count) {
        for (int i = 0; i < count; ++i) {
            values[i] = normal(random);
        }
    };
    auto* a = allocate<In>(lda * (ta ? m : k));
    auto* b = allocate<In>(ldb * (tb ? k : n));
    auto* c = allocate<Out>(ldc * n);
    fill(a, lda * (ta ? m : k));
    fill(b, ldb * (tb ? k : n));
    std::vector<float> before(ldc * n, std::nanf(""));
    if (beta != 0) {
        fill(c, ldc * n);
        before.assign(c, c + ldc * n);
    } else {
        std::fill(c, c + ldc * n, std::nanf(""));  // must not be read
    }
    const float alpha = 0.5f;
    ASSERT_EQ(cublasGemmEx(handle, ta ? CUBLAS_OP_T : CUBLAS_OP_N,
                           tb ? CUBLAS_OP_T : CUBLAS_OP_N, m, n, k, &alpha, a,
                           type_of<In>, lda, b, type_of<In>, ldb, &beta, c,
                           type_of<Out>, ldc, CUBLAS_COMPUTE_32F,
                           CUBLAS_GEMM_DEFAULT),
              CUBLAS_STATUS_SUCCESS);
    ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
    const double tolerance = std::is_same_v<Out, float> ? 1e-5 : 5e-3;
    for (int j = 0; j < n; ++j) {
        for (int i = 0; i < m; ++i) {
            double sum = 0;
            for (int p = 0; p < k; ++p) {
                sum += double(float(ta ? a[p + i * lda] : a[i + p * lda])) *
                       double(float(tb ? b[j + p * ldb] : b[p + j * ldb]));
            }
            const int at = i + j * ldc;
            const double old = beta == 0 ? 0 : before[at] * beta;
            EXPECT_NEAR(float(c[at]), alpha * sum + old, tolerance);
        }
        const int gap = m + j * ldc;  // below the column: untouched
        EXPECT_TRUE(std::isnan(before[gap]) ? std::isnan(float(c[gap]))
                                            : float(c[gap]) == before[gap]);
    }
    cudaFree(a);
    cudaFree(b);
    cudaFree(c);
}

TEST_F(HostRuntime, Products) {
    cudaStream_t s = stream();
    cublasHandle_t handle = nullptr;
    ASSERT_EQ(cublasCreate(&handle), CUBLAS_STATUS_SUCCESS);
    ASSERT_EQ(cublasSetStream(handle, s), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(host::live_objects().cublas_handles, 1u);
    for (const bool ta : {false, true}) {
        for (const bool tb : {false, true}) {
            for (const float beta : {0.0f, 2.0f}) {
                check_product<float, float>(handle, s, ta, tb, beta);
                check_product<__half, float>(handle, s, ta, tb, beta);
                check_product<__half, __half>(handle, s, ta, tb, beta);
            }
        }
    }
    const float one = 1;
    int* memory = ints(std::vector<int>(64, 0));
    const auto product = [&](int64_t lda, int64_t ldb, int64_t ldc,
                             cudaDataType c = CUDA_R_32F) {
        return cublasGemmEx_64(handle, CUBLAS_OP_T, CUBLAS_OP_N, 2, 3, 4, &one,
                               memory, CUDA_R_32F, lda, memory + 16, CUDA_R_32F,
                               ldb, &one, memory + 32, c, ldc,
                               CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
    };
    EXPECT_EQ(product(4, 4, 2), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(product(3, 4, 2), CUBLAS_STATUS_INVALID_VALUE);
    EXPECT_EQ(product(4, 3, 2), CUBLAS_STATUS_INVALID_VALUE);
    EXPECT_EQ(product(4, 4, 1), CUBLAS_STATUS_INVALID_VALUE);
    EXPECT_EQ(product(4, 4, 2, CUDA_R_16F), CUBLAS_STATUS_NOT_SUPPORTED);
    EXPECT_THROW(product(4, 4, 20), std::logic_error);  // beyond the memory
    host::fail_call(1, cudaErrorLaunchFailure);
    EXPECT_EQ(product(4, 4, 2), CUBLAS_STATUS_EXECUTION_FAILED);
    EXPECT_STREQ(cublasGetStatusName(CUBLAS_STATUS_NOT_SUPPORTED),
                 "CUBLAS_STATUS_NOT_SUPPORTED");
    EXPECT_EQ(cublasDestroy(handle), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasDestroy(handle), CUBLAS_STATUS_NOT_INITIALIZED);
    free_all();
}

TEST_F(HostRuntime, SegmentedSort) {
    cudaStream_t s = stream();
    int* in = ints({3, 1, 2, 9, 5, 7, 8});
    int* out = ints(std::vector<int>(7, -1));
    int* offsets = ints({0, 3, 3, 6});  // the second is empty
    size_t bytes = 0;
    const auto sort = [&](void* temporary) {
        return cub::DeviceSegmentedSort::SortKeysDescending(
            temporary, bytes, in, out, 7, 3, offsets, offsets + 1, s);
    };
    EXPECT_EQ(sort(nullptr), cudaSuccess);
    EXPECT_GE(bytes, 1u);
    char* temporary = allocate<char>(bytes);
    EXPECT_EQ(sort(temporary), cudaSuccess);
    EXPECT_EQ(out[0], -1);
    EXPECT_EQ(cudaStreamSynchronize(s), cudaSuccess);
    EXPECT_EQ(std::vector<int>(out, out + 7),
              (std::vector<int>{3, 2, 1, 9, 7, 5, -1}));
    --bytes;
    EXPECT_EQ(sort(temporary), cudaErrorInvalidValue);
    cudaFree(temporary);
    free_all();
}

}  // namespace
