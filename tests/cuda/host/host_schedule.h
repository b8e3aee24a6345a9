// Which thread of a block runs next: an order that varies with a seed.
#pragma once

#include <cstdint>

namespace qbnorm_host {

inline constexpr unsigned kWarpSize = 32;
inline constexpr unsigned kMaxThreads = 1024;
inline constexpr unsigned kNoThread = ~0u;

/// Small and fast: it is asked at every meeting of a warp.
class Random {
  public:
    explicit Random(std::uint64_t seed = 0)
        : state_((seed + 1) * 0x9E3779B97F4A7C15u | 1) {}
    std::uint64_t operator()() {  // xorshift64*
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return state_ * 0x2545F4914F6CDD1Du >> 16;
    }

  private:
    std::uint64_t state_;
};

/// The runnable threads of a block.
class Schedule {
  public:
    Random random;

    void clear() {
        ready_warps_ = 0;
        warp_ = kNoThread;
        for (Warp& warp : warps_) {
            warp = {};
        }
    }

    /// Makes all lanes of a warp runnable, in an order of their own.
    void add_warp(unsigned w) {
        const std::uint64_t bits = random();
        warps_[w].ready = ~0u;
        warps_[w].factor = unsigned(bits & 15) * 2 + 1;
        warps_[w].offset = unsigned(bits >> 8) % kWarpSize;
        ready_warps_ |= 1u << w;
        warp_ = kNoThread;  // warps overtake each other where a warp meets
    }

    /// Makes one thread runnable; after clear() only.
    void add_thread(unsigned thread) {
        warps_[thread / kWarpSize].ready |= 1u << thread % kWarpSize;
        ready_warps_ |= 1u << thread / kWarpSize;
    }

    /// Takes the next thread, kNoThread if none is runnable.
    unsigned pick() {
        if (warp_ == kNoThread) {
            if (ready_warps_ == 0) {
                return kNoThread;
            }
            const unsigned r = unsigned(random()) % 32;
            const std::uint32_t turned = ready_warps_ >> r | ready_warps_
                                                                 << (-r % 32);
            warp_ = (unsigned(__builtin_ctz(turned)) + r) % 32;
        }
        const unsigned w = warp_;
        Warp& warp = warps_[w];
        const unsigned place = unsigned(__builtin_ctz(warp.ready));
        warp.ready &= warp.ready - 1;
        if (warp.ready == 0) {
            ready_warps_ &= ~(1u << w);
            warp_ = kNoThread;
        }
        return w * kWarpSize + (place * warp.factor + warp.offset) % kWarpSize;
    }

  private:
    struct Warp {
        std::uint32_t ready = 0;  // by place; lane = place * factor + offset
        unsigned factor = 1;      // odd, so that each lane has one place
        unsigned offset = 0;
    };
    Warp warps_[kMaxThreads / kWarpSize];
    std::uint32_t ready_warps_ = 0;
    unsigned warp_ = kNoThread;  // the warp that lanes are taken from
};

}  // namespace qbnorm_host
