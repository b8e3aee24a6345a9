// The host's executor of kernels is right, and sees what CUDA forbids.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "cuda_fp16.h"
#include "cuda_runtime.h"
#include "host_blocks.h"

namespace {

using qbnorm_host::blocks;

constexpr unsigned all_lanes = 0xffffffff;

// Runs a kernel at once, without the runtime.
template <class Kernel, class... Arguments>
void run(dim3 grid, unsigned threads, Kernel kernel, Arguments... arguments) {
    blocks.run(grid, threads, [=] { kernel(arguments...); });
}

std::string error_of(unsigned threads, const std::function<void()>& kernel) {
    try {
        blocks.run(1, threads, kernel);
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

TEST(HostBlocks, MissingWarpMeetingShows) {
    std::array<int, 32> ones{};
    ones.fill(1);
    int wrong = 0;
    for (int seed = 0; seed < 20; ++seed) {
        blocks.set_seed(seed);
        std::array<int, 32> copied{};
        blocks.run(1, 32, [&] {
            __shared__ int values[32];
            values[threadIdx.x] = 0;
            __ballot_sync(all_lanes, 1);
            values[threadIdx.x] = 1;
            copied[threadIdx.x] = values[(threadIdx.x + 1) % 32];
        });
        wrong += copied != ones;
    }
    EXPECT_GT(wrong, 10);
}

TEST(HostBlocks, IndicesCoverTheGridOnce) {
    std::vector<int> seen(15 * 64);
    blocks.run(dim3(5, 3), 64, [&] {
        EXPECT_EQ(gridDim.y, 3u);
        EXPECT_EQ(blockIdx.z + threadIdx.y + threadIdx.z, 0u);
        const unsigned b = blockIdx.y * gridDim.x + blockIdx.x;
        ++seen[b * blockDim.x + threadIdx.x];
    });
    EXPECT_EQ(seen, std::vector<int>(15 * 64, 1));
}

TEST(HostBlocks, OrdersVary) {
    std::set<unsigned> first_blocks, first_threads, second_lanes, after;
    int warp_0 = 0;
    std::set<bool> ascends;
    for (int seed = 0; seed < 50; ++seed) {
        blocks.set_seed(seed);
        std::vector<unsigned> order;
        std::vector<unsigned> met;
        blocks.run(8, 128, [&] {
            order.push_back(blockIdx.x * 128 + threadIdx.x);
            __syncthreads();
            met.push_back(threadIdx.x);
        });
        first_blocks.insert(order[0] / 128);
        first_threads.insert(order[0] % 128);
        warp_0 += order[0] % 128 < 32;
        second_lanes.insert(order[1] % 32);
        after.insert(met[0]);
        ascends.insert(order[0] % 32 < order[1] % 32);
    }
    EXPECT_EQ(first_blocks.size(), 8u);
    EXPECT_GT(first_threads.size(), 25u);
    EXPECT_GT(second_lanes.size(), 15u);
    EXPECT_GT(after.size(), 25u);
    EXPECT_EQ(ascends.size(), 2u);
    EXPECT_LT(warp_0, 25);  // of 50: a quarter is fair
}

TEST(HostBlocks, ShufflesAsInCuda) {
    blocks.run(2, 96, [] {
        const auto lane = int(threadIdx.x) % 32;
        const auto base = int(threadIdx.x) - lane;
        for (const int lanes : {1, 2, 16, 31}) {
            const int value = int(threadIdx.x);
            const int other = base + (lane ^ lanes);
            EXPECT_EQ(__shfl_xor_sync(all_lanes, value, lanes), other);
            EXPECT_EQ(__shfl_xor_sync(all_lanes, -0.5f * value, lanes),
                      -0.5f * other);
            EXPECT_EQ(__shfl_xor_sync(all_lanes, -1e300 * value, lanes),
                      -1e300 * other);
            EXPECT_EQ(__shfl_xor_sync(all_lanes, 1ull << 40 | value, lanes),
                      1ull << 40 | other);
        }
    });
}

TEST(HostBlocks, VotesAndReductions) {
    blocks.run(1, 96, [] {
        const int lane = int(threadIdx.x) % 32;
        const auto warp = threadIdx.x / 32;
        EXPECT_EQ(__ballot_sync(all_lanes, lane % 2 * 8), 0xaaaaaaaa);
        EXPECT_EQ(__ballot_sync(all_lanes, lane == 31), 1u << 31);
        EXPECT_EQ(__reduce_add_sync(all_lanes, lane - 16), -16);
        EXPECT_EQ(__reduce_add_sync(all_lanes, 1 << 27), 0);
        EXPECT_EQ(__reduce_max_sync(all_lanes, threadIdx.x), warp * 32 + 31);
        EXPECT_EQ(__reduce_max_sync(all_lanes, unsigned(lane - 16)), ~0u);
        EXPECT_EQ(__reduce_max_sync(all_lanes, 0u), 0u);
    });
}

__global__ void compact_kernel(const int* values, int* kept, int* count) {
    __shared__ int base[4];
    const unsigned warp = threadIdx.x / 32;
    const unsigned lane = threadIdx.x % 32;
    const int value = values[blockIdx.x * blockDim.x + threadIdx.x];
    const unsigned ballot = __ballot_sync(all_lanes, value % 3 == 0);
    if (lane == 0) {
        base[warp] = atomicAdd(count, std::popcount(ballot));
    }
    __syncthreads();
    if (value % 3 == 0) {
        kept[base[warp] + std::popcount(ballot & ((1u << lane) - 1))] = value;
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
    int largest = -1;
    unsigned smallest = ~0u;
    blocks.run(10, 64, [&] {
        const unsigned id = blockIdx.x * 64 + threadIdx.x;
        atomicAdd(&histogram[id % 10], 1);
        atomicAdd(&sum, id);
        atomicMax(&largest, int(id));
        atomicMin(&smallest, id + 5);
    });
    for (const unsigned n : histogram) EXPECT_EQ(n, 64u);
    EXPECT_EQ(sum, 640u * 639 / 2);
    EXPECT_EQ(largest, 639);
    EXPECT_EQ(smallest, 5u);
    EXPECT_EQ(atomicAdd(&smallest, 3), 5u);  // what was there before
    EXPECT_EQ(atomicMin(&smallest, 9), 8u);
    EXPECT_EQ(atomicMax(&smallest, 9), 8u);
    EXPECT_EQ(smallest, 9u);
}

// Whether the kernel's error has all of these parts.
void expect_error(unsigned threads, const std::function<void()>& kernel,
                  std::initializer_list<const char*> parts) {
    for (int seed = 0; seed < 10; ++seed) {
        blocks.set_seed(seed);
        const std::string error = error_of(threads, kernel);
        for (const char* part : parts) {
            EXPECT_NE(error.find(part), std::string::npos) << error;
        }
    }
}

TEST(HostBlocks, DivergenceFails) {
    const auto divergent = [] {
        if (threadIdx.x == 40) {
            __ballot_sync(all_lanes, 1);
        } else {
            __syncthreads();
        }
    };
    expect_error(64, divergent, {"__ballot_sync", "__syncthreads", "block "});
    expect_error(32, [] { __shfl_xor_sync(0xffff, 1, 1); }, {"full mask"});
}

TEST(HostBlocks, EarlyReturnFails) {
    for (const unsigned leaver : {0u, 17u, 63u}) {
        const auto barrier = [leaver] {
            if (threadIdx.x != leaver) __syncthreads();
        };
        const auto vote = [leaver] {
            if (threadIdx.x != leaver) __ballot_sync(all_lanes, 1);
        };
        expect_error(64, barrier, {"return"});
        expect_error(64, vote, {"return"});
    }
    // A whole warp may leave if no other waits for the block.
    const auto warp_meets = [] {
        if (threadIdx.x >= 32) __ballot_sync(all_lanes, 1);
    };
    const auto block_meets = [] {
        if (threadIdx.x >= 32) __syncthreads();
    };
    expect_error(64, warp_meets, {"no error"});
    expect_error(64, block_meets, {"return"});
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
    EXPECT_NE(error_of(0, [] {}), "no error");
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
                    const int sum = __reduce_add_sync(all_lanes, 1);
                    __syncthreads();
                    if (threadIdx.x == 0) {
                        sums[blockIdx.x] = sum;
                    }
                });
                right[i] = right[i] && sums == std::vector<int>(4, 32);
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(right, (std::array{true, true, true, true}));
}

TEST(HostIntrinsics, AreCudas) {
    EXPECT_EQ(__popc(0xf0f0u), 8);
    EXPECT_EQ(__ffs(0), 0);
    EXPECT_EQ(__ffs(8), 4);
    EXPECT_EQ(__float_as_uint(1.0f), 0x3f800000u);
    EXPECT_EQ(__uint_as_float(0xbf800000u), -1.0f);
    EXPECT_EQ(min(3, -4), -4);
    EXPECT_EQ(max(3u, ~0u), ~0u);
    EXPECT_EQ(alignof(uint4), 16u);
    EXPECT_EQ(alignof(float2), 8u);
}

__half half_of(unsigned short bits) {
    return std::bit_cast<__half>(bits);
}
unsigned short bits_of(__half half) {
    return half.__x;
}

TEST(HostHalf, AllValuesRoundTrip) {
    for (unsigned bits = 0; bits < 65536; ++bits) {
        const __half h = half_of(static_cast<unsigned short>(bits));
        const float value = __half2float(h);
        const bool nan = (bits & 0x7fff) > 0x7c00;
        EXPECT_EQ(std::isnan(value), nan);
        EXPECT_EQ(bits_of(__float2half_rn(value)), nan ? 0x7fff : bits);
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
        const float middle =
            (__half2float(half_of(low)) + __half2float(half_of(high))) / 2;
        const float infinity = std::numeric_limits<float>::infinity();
        EXPECT_EQ(bits_of(__float2half_rn(middle)), bits % 2 == 0 ? low : high);
        EXPECT_EQ(bits_of(__float2half_rn(std::nextafter(middle, 0.0f))), low);
        EXPECT_EQ(bits_of(__float2half_rn(-std::nextafter(middle, infinity))),
                  high | 0x8000);
    }
    EXPECT_EQ(bits_of(__float2half_rn(65519.996f)), 0x7bff);
    EXPECT_EQ(bits_of(__float2half_rn(65520.0f)), 0x7c00);
    EXPECT_EQ(bits_of(__float2half_rn(-1e30f)), 0xfc00);
    EXPECT_EQ(bits_of(__float2half_rn(-0.0f)), 0x8000);
    EXPECT_EQ(__half22float2(__half2{1, -2}).y, -2);
}

}  // namespace
