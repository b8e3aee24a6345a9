// CUDA's barriers, shuffles, votes and warp reductions, as meetings. Masks must
// name all 32 lanes: nothing else is used here.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "host_blocks.h"

namespace qbnorm_host {

inline constexpr Meeting kSyncThreads{"__syncthreads", true};
inline constexpr Meeting kSyncThreadsOr{"__syncthreads_or", true};
inline constexpr Meeting kSyncThreadsAnd{"__syncthreads_and", true};
inline constexpr Meeting kSyncThreadsCount{"__syncthreads_count", true};
inline constexpr Meeting kSyncWarp{"__syncwarp"};
inline constexpr Meeting kShuffle{"__shfl_sync"};
inline constexpr Meeting kShuffleUp{"__shfl_up_sync"};
inline constexpr Meeting kShuffleDown{"__shfl_down_sync"};
inline constexpr Meeting kShuffleXor{"__shfl_xor_sync"};
inline constexpr Meeting kBallot{"__ballot_sync"};
inline constexpr Meeting kAny{"__any_sync"};
inline constexpr Meeting kAll{"__all_sync"};
inline constexpr Meeting kReduceAdd{"__reduce_add_sync"};
inline constexpr Meeting kReduceMin{"__reduce_min_sync"};
inline constexpr Meeting kReduceMax{"__reduce_max_sync"};
inline constexpr Meeting kReduceAnd{"__reduce_and_sync"};
inline constexpr Meeting kReduceOr{"__reduce_or_sync"};
inline constexpr Meeting kReduceXor{"__reduce_xor_sync"};

/// As Blocks::meet, of a warp that the mask names in full.
inline Exchange& meet_warp(const Meeting& meeting, unsigned mask,
                           std::uint64_t value) {
    if (mask != 0xffffffffu) {
        blocks.fail(std::string(meeting.name) + ": not a full mask");
    }
    return blocks.meet(meeting, value);
}

/// The value of the lane that `source(lane, width)` names.
template <typename T, typename Source>
T shuffle(const Meeting& meeting, unsigned mask, T value, int width,
          Source source) {
    if (width < 1 || width > 32 || (width & (width - 1)) != 0) {
        blocks.fail(std::string(meeting.name) + ": bad width");
    }
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    const Exchange& exchange = meet_warp(meeting, mask, bits);
    const int from = source(int(blocks.lane()), width);
    std::memcpy(&value, &exchange.values[from], sizeof value);
    return value;
}

inline unsigned vote(const Meeting& meeting, unsigned mask, bool predicate) {
    return unsigned(meet_warp(meeting, mask, predicate).once([](auto& values) {
        std::uint64_t lanes = 0;
        for (unsigned lane = 0; lane < kWarpSize; ++lane) {
            lanes |= values[lane] << lane;
        }
        return lanes;
    }));
}

template <typename T, typename F>
T reduce(const Meeting& meeting, unsigned mask, T value, F f) {
    return T(meet_warp(meeting, mask, unsigned(value)).once([f](auto& values) {
        T result = T(values[0]);
        for (unsigned lane = 1; lane < kWarpSize; ++lane) {
            result = f(result, T(values[lane]));
        }
        return std::uint64_t(unsigned(result));
    }));
}

}  // namespace qbnorm_host

inline void __syncthreads() {
    qbnorm_host::blocks.meet(qbnorm_host::kSyncThreads, 0);
}
inline int __syncthreads_count(int predicate) {
    using namespace qbnorm_host;
    return int(blocks.meet_block(kSyncThreadsCount, predicate != 0));
}
inline int __syncthreads_or(int predicate) {
    using namespace qbnorm_host;
    return blocks.meet_block(kSyncThreadsOr, predicate != 0) != 0;
}
inline int __syncthreads_and(int predicate) {
    using namespace qbnorm_host;
    return blocks.meet_block(kSyncThreadsAnd, predicate == 0) == 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu) {
    qbnorm_host::meet_warp(qbnorm_host::kSyncWarp, mask, 0);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
    return qbnorm_host::vote(qbnorm_host::kBallot, mask, predicate != 0);
}
inline int __any_sync(unsigned mask, int predicate) {
    return qbnorm_host::vote(qbnorm_host::kAny, mask, predicate != 0) != 0;
}
inline int __all_sync(unsigned mask, int predicate) {
    return qbnorm_host::vote(qbnorm_host::kAll, mask, predicate != 0) == ~0u;
}

// Overloads, not templates: arguments convert as they do in CUDA.
#define QBNORM_HOST_SHUFFLES(T)                                                \
    inline T __shfl_sync(unsigned mask, T value, int lane, int width = 32) {   \
        return qbnorm_host::shuffle(qbnorm_host::kShuffle, mask, value, width, \
                                    [lane](int self, int w) {                  \
                                        return (self & -w) | (lane & (w - 1)); \
                                    });                                        \
    }                                                                          \
    inline T __shfl_up_sync(unsigned mask, T value, unsigned delta,            \
                            int width = 32) {                                  \
        return qbnorm_host::shuffle(                                           \
            qbnorm_host::kShuffleUp, mask, value, width,                       \
            [delta](int self, int w) {                                         \
                return unsigned(self & (w - 1)) < delta ? self                 \
                                                        : self - int(delta);   \
            });                                                                \
    }                                                                          \
    inline T __shfl_down_sync(unsigned mask, T value, unsigned delta,          \
                              int width = 32) {                                \
        return qbnorm_host::shuffle(                                           \
            qbnorm_host::kShuffleDown, mask, value, width,                     \
            [delta](int self, int w) {                                         \
                return delta > unsigned(~self & (w - 1)) ? self                \
                                                         : self + int(delta);  \
            });                                                                \
    }                                                                          \
    inline T __shfl_xor_sync(unsigned mask, T value, int lanes,                \
                             int width = 32) {                                 \
        return qbnorm_host::shuffle(                                           \
            qbnorm_host::kShuffleXor, mask, value, width,                      \
            [lanes](int self, int w) {                                         \
                const int other = self ^ (lanes & 31);                         \
                return other > (self | (w - 1)) ? self : other;                \
            });                                                                \
    }
QBNORM_HOST_SHUFFLES(int)
QBNORM_HOST_SHUFFLES(unsigned)
QBNORM_HOST_SHUFFLES(long)
QBNORM_HOST_SHUFFLES(unsigned long)
QBNORM_HOST_SHUFFLES(long long)
QBNORM_HOST_SHUFFLES(unsigned long long)
QBNORM_HOST_SHUFFLES(float)
QBNORM_HOST_SHUFFLES(double)
#undef QBNORM_HOST_SHUFFLES

// 32 bits only: so is the hardware. The sum wraps around.
#define QBNORM_HOST_REDUCTIONS(T)                                            \
    inline T __reduce_add_sync(unsigned mask, T value) {                     \
        return qbnorm_host::reduce(                                          \
            qbnorm_host::kReduceAdd, mask, value,                            \
            [](T a, T b) { return T(unsigned(a) + unsigned(b)); });          \
    }                                                                        \
    inline T __reduce_min_sync(unsigned mask, T value) {                     \
        return qbnorm_host::reduce(qbnorm_host::kReduceMin, mask, value,     \
                                   [](T a, T b) { return std::min(a, b); }); \
    }                                                                        \
    inline T __reduce_max_sync(unsigned mask, T value) {                     \
        return qbnorm_host::reduce(qbnorm_host::kReduceMax, mask, value,     \
                                   [](T a, T b) { return std::max(a, b); }); \
    }
QBNORM_HOST_REDUCTIONS(int)
QBNORM_HOST_REDUCTIONS(unsigned)
#undef QBNORM_HOST_REDUCTIONS

inline unsigned __reduce_and_sync(unsigned mask, unsigned value) {
    return qbnorm_host::reduce(qbnorm_host::kReduceAnd, mask, value,
                               [](unsigned a, unsigned b) { return a & b; });
}
inline unsigned __reduce_or_sync(unsigned mask, unsigned value) {
    return qbnorm_host::reduce(qbnorm_host::kReduceOr, mask, value,
                               [](unsigned a, unsigned b) { return a | b; });
}
inline unsigned __reduce_xor_sync(unsigned mask, unsigned value) {
    return qbnorm_host::reduce(qbnorm_host::kReduceXor, mask, value,
                               [](unsigned a, unsigned b) { return a ^ b; });
}
