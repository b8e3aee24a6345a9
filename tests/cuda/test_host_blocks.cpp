// The host's executor of kernels is right, and sees what CUDA forbids.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "cuda_runtime.h"
#include "host_blocks.h"

namespace {

using qbnorm_host::blocks;

constexpr unsigned all_lanes = 0xffffffff;

// Runs a kernel at once, without the runtime.
template <class Kernel, class... Arguments>
void run(dim3 grid, dim3 block, Kernel kernel, Arguments... arguments) {
    blocks.run(grid, block, [=] { kernel(arguments...); });
}

std::string error_of(dim3 block, const std::function<void()>& kernel) {
    try {
        blocks.run(2, block, kernel);
    } catch (const std::logic_error& error) {
        return error.what();
    }
    return "no error";
}

__global__ void __launch_bounds__(256)
    sum_kernel(const int* values, int* sums, bool forgets_barrier) {
    __shared__ int partial[256];
    const unsigned t = threadIdx.x;
    partial[t] = values[blockIdx.x * blockDim.x + t];
    __syncthreads();
    for (unsigned step = blockDim.x / 2; step > 0; step /= 2) {
        if (t < step) {
            partial[t] += partial[t + step];
        }
        if (!forgets_barrier) {
            __syncthreads();
        }
    }
    if (t == 0) {
        sums[blockIdx.x] = partial[0];
    }
}

bool sums_are_right(bool forgets_barrier) {
    std::vector<int> values(7 * 256);
    std::iota(values.begin(), values.end(), 1);
    std::vector<int> sums(7);
    run(7, 256, sum_kernel, values.data(), sums.data(), forgets_barrier);
    for (int b = 0; b < 7; ++b) {
        if (sums[b] !=
            std::accumulate(&values[b * 256], &values[b * 256] + 256, 0)) {
            return false;
        }
    }
    return true;
}

TEST(HostBlocks, Reduction) {
    for (int seed = 0; seed < 20; ++seed) {
        blocks.set_seed(seed);
        EXPECT_TRUE(sums_are_right(false));
    }
}

TEST(HostBlocks, MissingBarrierShows) {
    int wrong = 0;
    for (int seed = 0; seed < 20; ++seed) {
        blocks.set_seed(seed);
        wrong += !sums_are_right(true);
    }
    EXPECT_GT(wrong, 10);
}

TEST(HostBlocks, MissingWarpBarrierShows) {
    int wrong = 0;
    for (int seed = 0; seed < 20; ++seed) {
        blocks.set_seed(seed);
        std::array<int, 32> copied{};
        blocks.run(1, 32, [&] {
            __shared__ int values[32];
            values[threadIdx.x] = 0;
            __syncwarp();
            values[threadIdx.x] = 1;
            copied[threadIdx.x] = values[(threadIdx.x + 1) % 32];
        });
        wrong += copied != [] {
            std::array<int, 32> ones;
            ones.fill(1);
            return ones;
        }();
    }
    EXPECT_GT(wrong, 10);
}

TEST(HostBlocks, IndicesCoverTheGridOnce) {
    const dim3 grid(5, 3, 2);
    const dim3 block(8, 4, 2);
    std::vector<int> seen(30 * 64);
    blocks.run(grid, block, [&] {
        const unsigned b =
            (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
        const unsigned t =
            (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
        EXPECT_EQ(blocks.lane(), t % 32);
        ++seen[b * 64 + t];
    });
    EXPECT_EQ(seen, std::vector<int>(30 * 64, 1));
}

TEST(HostBlocks, ShuffleScan) {
    std::array<unsigned long long, 64> scanned{};
    blocks.run(1, 64, [&] {
        unsigned long long sum = 1ull << 40 | threadIdx.x;
        for (unsigned delta = 1; delta < 32; delta *= 2) {
            const unsigned long long below =
                __shfl_up_sync(all_lanes, sum, delta);
            if (threadIdx.x % 32 >= delta) {
                sum += below;
            }
        }
        scanned[threadIdx.x] = sum;
    });
    unsigned long long sum = 0;
    for (unsigned t = 0; t < 64; ++t) {
        sum = (t % 32 == 0 ? 0 : sum) + (1ull << 40 | t);
        EXPECT_EQ(scanned[t], sum);
    }
}

TEST(HostBlocks, ShufflesAsInCuda) {
    blocks.run(1, 32, [] {
        const int lane = int(threadIdx.x);
        const auto expect = [](auto shuffled, int value) {
            EXPECT_EQ(shuffled, value);
        };
        expect(__shfl_sync(all_lanes, lane, 5), 5);
        expect(__shfl_sync(all_lanes, lane, lane + 33), (lane + 1) % 32);
        expect(__shfl_sync(all_lanes, lane, -1), 31);
        expect(__shfl_sync(all_lanes, float(lane), 9, 8), lane / 8 * 8 + 1);
        expect(__shfl_up_sync(all_lanes, lane, 3), lane < 3 ? lane : lane - 3);
        expect(__shfl_up_sync(all_lanes, double(lane), 1, 4),
               lane % 4 == 0 ? lane : lane - 1);
        expect(__shfl_down_sync(all_lanes, lane, 3),
               lane > 28 ? lane : lane + 3);
        expect(__shfl_down_sync(all_lanes, (long long)(lane), 1, 16),
               lane % 16 == 15 ? lane : lane + 1);
        expect(__shfl_xor_sync(all_lanes, lane, 16), lane ^ 16);
        expect(__shfl_xor_sync(all_lanes, lane, 8, 8),
               lane % 16 >= 8 ? lane ^ 8 : lane);  // only from a lower group
        expect(__shfl_sync(all_lanes, -lane, 31), -31);
        expect(__shfl_sync(all_lanes, -double(lane), 31), -31);
    });
}

TEST(HostBlocks, VotesAndReductions) {
    blocks.run(1, 96, [] {
        const int lane = int(threadIdx.x) % 32;
        EXPECT_EQ(__ballot_sync(all_lanes, lane % 2 * 8), 0xaaaaaaaa);
        EXPECT_EQ(__any_sync(all_lanes, lane == 7), 1);
        EXPECT_EQ(__any_sync(all_lanes, lane == 32), 0);
        EXPECT_EQ(__all_sync(all_lanes, lane < 32), 1);
        EXPECT_EQ(__all_sync(all_lanes, lane < 31), 0);
        EXPECT_EQ(__reduce_add_sync(all_lanes, lane - 16), -16);
        EXPECT_EQ(__reduce_add_sync(all_lanes, 1u << 27), 0u);
        EXPECT_EQ(__reduce_min_sync(all_lanes, lane - 16), -16);
        EXPECT_EQ(__reduce_max_sync(all_lanes, lane - 16), 15);
        EXPECT_EQ(__reduce_max_sync(all_lanes, unsigned(lane - 16)), ~0u);
        EXPECT_EQ(__reduce_min_sync(all_lanes, unsigned(lane - 16)), 0u);
        EXPECT_EQ(__reduce_or_sync(all_lanes, 1u << lane), ~0u);
        EXPECT_EQ(__reduce_and_sync(all_lanes, ~(1u << lane)), 0u);
        EXPECT_EQ(__reduce_xor_sync(all_lanes, unsigned(lane)), 0u);
        for (int i = 0; i < 5; ++i) {
            EXPECT_EQ(__syncthreads_count(int(threadIdx.x) % (i + 2) == 0),
                      (96 + i + 1) / (i + 2));
            EXPECT_EQ(__syncthreads_or(int(threadIdx.x) == i), 1);
            EXPECT_EQ(__syncthreads_or(0), 0);
            EXPECT_EQ(__syncthreads_and(1), 1);
            EXPECT_EQ(__syncthreads_and(int(threadIdx.x) != i), 0);
        }
    });
}

__global__ void compact_kernel(const int* values, int* kept, int* count) {
    __shared__ int base[4];
    const unsigned warp = threadIdx.x / 32;
    const unsigned lane = threadIdx.x % 32;
    const int value = values[blockIdx.x * blockDim.x + threadIdx.x];
    const unsigned ballot = __ballot_sync(all_lanes, value % 3 == 0);
    if (lane == 0) {
        base[warp] = atomicAdd(count, __popc(ballot));
    }
    __syncwarp();
    if (value % 3 == 0) {
        kept[base[warp] + __popc(ballot & ((1u << lane) - 1))] = value;
    }
}

TEST(HostBlocks, BallotCompaction) {
    std::vector<int> values(1024);
    std::iota(values.begin(), values.end(), 0);
    std::vector<int> first;
    bool varies = false;
    for (int seed = 0; seed < 5; ++seed) {
        blocks.set_seed(seed);
        std::vector<int> kept(342, -1);
        int count = 0;
        run(8, 128, compact_kernel, values.data(), kept.data(), &count);
        EXPECT_EQ(count, 342);
        first = first.empty() ? kept : first;
        varies |= kept != first;
        std::sort(kept.begin(), kept.end());
        for (int i = 0; i < 342; ++i) {
            EXPECT_EQ(kept[i], 3 * i);
        }
    }
    EXPECT_TRUE(varies);  // blocks and warps come in other orders
}

TEST(HostBlocks, Atomics) {
    std::array<unsigned, 10> histogram{};
    unsigned long long sum = 0;
    float total = 0;
    int largest = -1;
    unsigned smallest = ~0u;
    unsigned bits = 0;
    unsigned long long swapped = 0;
    blocks.run(10, 64, [&] {
        const unsigned id = blockIdx.x * 64 + threadIdx.x;
        atomicAdd(&histogram[id % 10], 1);
        atomicAdd(&sum, id);
        atomicAdd(&total, 0.5f);
        atomicMax(&largest, int(id));
        atomicMin(&smallest, id + 5);
        atomicOr(&bits, 1u << id % 32);
        atomicCAS(&swapped, id, id + 1);
    });
    for (const unsigned n : histogram) {
        EXPECT_EQ(n, 64u);
    }
    EXPECT_EQ(sum, 640u * 639 / 2);
    EXPECT_EQ(total, 320);
    EXPECT_EQ(largest, 639);
    EXPECT_EQ(smallest, 5u);
    EXPECT_EQ(bits, ~0u);
    EXPECT_GE(swapped, 1u);
    EXPECT_EQ(atomicExch(&bits, 3u), ~0u);
    EXPECT_EQ(bits, 3u);
}

TEST(HostBlocks, DivergentBarrierFails) {
    for (int seed = 0; seed < 10; ++seed) {
        blocks.set_seed(seed);
        const std::string error = error_of(64, [] {
            if (threadIdx.x == 40) {
                __syncwarp();
            }
            __syncthreads();
        });
        EXPECT_NE(error.find("__syncwarp"), std::string::npos) << error;
        EXPECT_NE(error.find("__syncthreads"), std::string::npos) << error;
        EXPECT_NE(error.find("(40,0,0)"), std::string::npos) << error;
    }
    // Whole warps at other barriers than the rest.
    const std::string error = error_of(64, [] {
        if (threadIdx.x < 32) {
            __syncthreads();
        } else {
            __syncthreads_or(1);
        }
    });
    EXPECT_NE(error.find("another warp"), std::string::npos) << error;
    EXPECT_NE(error_of(32, [] { __syncwarp(1); }).find("full mask"),
              std::string::npos);
}

TEST(HostBlocks, EarlyReturnFails) {
    for (int seed = 0; seed < 10; ++seed) {
        blocks.set_seed(seed);
        for (const unsigned leaver : {0u, 17u, 63u}) {
            EXPECT_NE(error_of(64,
                               [leaver] {
                                   if (threadIdx.x != leaver) {
                                       __syncthreads();
                                   }
                               })
                          .find("return"),
                      std::string::npos);
            EXPECT_NE(error_of(64,
                               [leaver] {
                                   if (threadIdx.x != leaver) {
                                       __ballot_sync(all_lanes, 1);
                                   }
                               })
                          .find("return"),
                      std::string::npos);
        }
        // A whole warp may leave if no other waits for the block.
        EXPECT_EQ(error_of(64,
                           [] {
                               if (threadIdx.x >= 32) {
                                   __syncwarp();
                               }
                           }),
                  "no error");
        EXPECT_NE(error_of(64,
                           [] {
                               if (threadIdx.x >= 32) {
                                   __syncthreads();
                               }
                           })
                      .find("return"),
                  std::string::npos);
    }
}

TEST(HostBlocks, ErrorsUnwindAndTheNextLaunchWorks) {
    struct Counter {
        int& n;
        explicit Counter(int& count) : n(count) { ++n; }
        ~Counter() { --n; }
    };
    for (int seed = 0; seed < 10; ++seed) {
        blocks.set_seed(seed);
        int alive = 0;
        EXPECT_THROW(blocks.run(3, 256,
                                [&] {
                                    const Counter counter(alive);
                                    __syncthreads();
                                    if (threadIdx.x == 77) {
                                        throw std::runtime_error("77");
                                    }
                                    __syncthreads();
                                }),
                     std::runtime_error);
        EXPECT_EQ(alive, 0);
        EXPECT_TRUE(sums_are_right(false));
    }
}

TEST(HostBlocks, BadBlocksFail) {
    EXPECT_NE(error_of(33, [] {}), "no error");
    EXPECT_NE(error_of(1056, [] {}), "no error");
    EXPECT_EQ(error_of(1024, [] { __syncthreads(); }), "no error");
    EXPECT_THROW(__syncthreads(), std::logic_error);
}

TEST(HostBlocks, SeveralOsThreadsLaunch) {
    std::vector<std::thread> threads;
    std::array<bool, 4> right{};
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&right, i] {
            right[i] = true;
            for (int repeat = 0; repeat < 20; ++repeat) {
                std::vector<int> sums(4);
                blocks.run(4, 64, [&] {
                    const int sum = __syncthreads_count(threadIdx.x % 2);
                    if (threadIdx.x == 0) {
                        sums[blockIdx.x] = sum;
                    }
                });
                right[i] = right[i] && sums == std::vector<int>(4, 32);
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(right, (std::array{true, true, true, true}));
}

TEST(HostIntrinsics, AreCudas) {
    EXPECT_EQ(__popc(0xf0f0u), 8);
    EXPECT_EQ(__popcll(~0ull), 64);
    EXPECT_EQ(__clz(0), 32);
    EXPECT_EQ(__clz(1), 31);
    EXPECT_EQ(__clz(-1), 0);
    EXPECT_EQ(__ffs(0), 0);
    EXPECT_EQ(__ffs(8), 4);
    EXPECT_EQ(__brev(1), 0x80000000);
    EXPECT_EQ(__brev(0x0000f00f), 0xf00f0000);
    EXPECT_EQ(__float_as_uint(1.0f), 0x3f800000u);
    EXPECT_EQ(__uint_as_float(0xbf800000u), -1.0f);
    EXPECT_EQ(__float_as_int(-0.0f), INT32_MIN);
    EXPECT_EQ(__fmaf_rn(2, 3, 4), 10);
    EXPECT_EQ(__fadd_rn(1, 0x1p-24f), 1);
    EXPECT_EQ(min(3, 4), 3);
    EXPECT_EQ(max(-1, 2u), ~0u);
    EXPECT_EQ(min(std::size_t{3}, std::size_t{2}), 2u);
    EXPECT_EQ(max(nanf(""), 2.0f), 2.0f);
    EXPECT_EQ(alignof(int4), 16u);
    EXPECT_EQ(alignof(float2), 8u);
    const int4 v = make_int4(1, 2, 3, 4);
    EXPECT_EQ(__ldg(&v).w, 4);
}

}  // namespace
