// Runs the blocks of a CUDA kernel on the host, one after another. Each thread
// of a block has a stack and gives way only where threads meet: at a barrier, a
// shuffle, a vote or a reduction. So an atomic is a plain operation.
#pragma once

#include <algorithm>
#include <bit>
#include <boost/context/fiber.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <functional>
#include <mutex>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#else  // nobody has to hear of stacks
inline void __sanitizer_start_switch_fiber(void**, const void*, size_t) {}
inline void __sanitizer_finish_switch_fiber(void*, const void**, size_t*) {}
#endif

#include "vector_types.h"

inline uint3 threadIdx, blockIdx;  // written by Blocks alone
inline dim3 blockDim, gridDim;

namespace qbnorm_host {

inline constexpr unsigned kWarpSize = 32, kMaxThreads = 1024, kNone = ~0u;

/// What threads meet at; compared by address.
inline constexpr char kBarrier[] = "__syncthreads", kVote[] = "__ballot_sync",
                      kShuffle[] = "__shfl_xor_sync",
                      kAdd[] = "__reduce_add_sync",
                      kMax[] = "__reduce_max_sync";

/// What the lanes of a warp brought to a meeting.
struct Exchange {
    std::uint64_t values[kWarpSize], sum, largest;
};

/// The executor of blocks. One launch at a time, whichever OS thread asks.
class Blocks {
  public:
    /// Another seed, other orders of blocks, warps and lanes.
    void set_seed(std::uint64_t seed) { random_.seed(seed); }

    /// Runs `kernel` once for each thread of x * y blocks; throws what it
    /// throws, and std::logic_error if threads do not meet as CUDA demands.
    void run(dim3 grid, unsigned threads, const std::function<void()>& kernel) {
        const std::lock_guard lock(mutex_);
        if (threads == 0 || threads > kMaxThreads || threads % kWarpSize != 0) {
            throw std::logic_error("a block is not 1 to 32 whole warps");
        }
        warp_count_ = threads / kWarpSize;
        kernel_ = &kernel;
        blockDim = threads;
        gridDim = grid;
        std::vector<unsigned> order(std::size_t{grid.x} * grid.y);
        std::iota(order.begin(), order.end(), 0u);
        std::shuffle(order.begin(), order.end(), random_);
        for (const unsigned b : order) {
            blockIdx = {b % grid.x, b / grid.x, 0};
            if (!error_) run_block();
        }
        kernel_ = nullptr;
        if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    }

    /// Waits until the warp, or the block, is here with a value each. Inlined:
    /// returns on a stack that was switched to are slow.
    [[gnu::always_inline]] const Exchange& meet(const char* meeting,
                                                unsigned mask = ~0u,
                                                std::uint64_t value = 0) {
        if (kernel_ == nullptr) throw std::logic_error("no kernel runs");
        const unsigned w = threadIdx.x / kWarpSize;
        const unsigned lane = threadIdx.x % kWarpSize;
        Warp& warp = warps_[w];
        if (mask != ~0u) fail(std::string(meeting) + " without a full mask");
        if (warp.arrived != 0 && warp.meeting != meeting) {
            fail(meeting + std::string(" but its warp is at ") + warp.meeting);
        }
        if (meeting == kBarrier ? exited_ != 0 : exited_ >> w & 1) {
            fail(std::string(meeting) + " after another thread's return");
        }
        Exchange& exchange = warp.exchanges[warp.turn];
        if (warp.arrived == 0) exchange.sum = exchange.largest = 0;
        exchange.values[lane] = value;
        exchange.sum += value;
        exchange.largest = std::max(exchange.largest, value);
        warp.meeting = meeting;
        warp.arrived |= 1u << lane;
        if (warp.arrived == ~0u) open(w);
        // Others run until this thread is runnable and its turn.
        const unsigned self = threadIdx.x;
        const unsigned next = pick();
        if (next == kNone) fail("deadlock: no thread can run");
        waiting_[self] = current_;
        switch_to(fiber_of(next));
        if (error_) throw Abandoned{};
        threadIdx.x = self;
        return exchange;
    }

  private:
    struct Warp {
        std::uint32_t ready;  // bit i: lane i ^ order can run
        unsigned order;
        std::uint32_t arrived;  // lanes that wait at `meeting`
        const char* meeting;
        unsigned turn;          // changes at each meeting: some lanes may be at
        Exchange exchanges[2];  // the next one while others still read
    };
    struct Fiber {
        boost::context::fiber context;  // where it goes on
        const void* stack = nullptr;
        std::size_t size = 0;
    };
    struct Abandoned {};  // unwinds the threads that wait when one fails

    [[noreturn]] static void fail(const std::string& what) {
        throw std::logic_error("block " + std::to_string(blockIdx.x) + "," +
                               std::to_string(blockIdx.y) + " thread " +
                               std::to_string(threadIdx.x) + ": " + what);
    }

    void run_block() {
        exited_ = ready_warps_ = 0;
        let_all_go();
        switch_to(fiber_of(pick()));
        if (!error_) return;
        for (Fiber*& fiber : waiting_) {  // what a failure left: unwind it
            if (fiber) switch_to(*std::exchange(fiber, nullptr));
        }
    }

    // All lanes of a warp are here; of a barrier, all warps must be.
    void open(unsigned w) {
        if (warps_[w].meeting != kBarrier) return let_go(w);
        if (++waiting_warps_ == warp_count_) let_all_go();
    }
    void let_all_go() {
        waiting_warps_ = 0;
        for (unsigned w = 0; w < warp_count_; ++w) let_go(w);
    }
    // Makes all lanes of a warp runnable, in another order.
    void let_go(unsigned w) {
        Warp& warp = warps_[w];
        warp.arrived = 0;
        warp.turn ^= 1;
        warp.ready = ~0u;
        warp.order = random_() % kWarpSize;
        ready_warps_ |= 1u << w;
        warp_ = kNone;  // warps overtake each other where one meets
    }
    // Takes the next thread to run: of a warp at random, until it has none.
    unsigned pick() {
        if (error_ || ready_warps_ == 0) return kNone;
        if (warp_ == kNone || (ready_warps_ >> warp_ & 1) == 0) {
            const int r = random_() % warp_count_;
            const int next = std::countr_zero(std::rotr(ready_warps_, r)) + r;
            warp_ = unsigned(next) % 32;
        }
        Warp& warp = warps_[warp_];
        const unsigned lane = std::countr_zero(warp.ready) ^ warp.order;
        warp.ready &= warp.ready - 1;
        if (warp.ready == 0) ready_warps_ &= ~(1u << warp_);
        return warp_ * kWarpSize + lane;
    }

    // The fiber on which a thread waits, or an idle one that starts it.
    Fiber& fiber_of(unsigned thread) {
        if (waiting_[thread]) return *std::exchange(waiting_[thread], nullptr);
        threadIdx.x = thread;
        if (idle_.empty()) idle_.push_back(new_fiber());
        Fiber& fiber = *idle_.back();
        idle_.pop_back();
        return fiber;
    }
    Fiber* new_fiber() {
        boost::context::protected_fixedsize_stack allocator(256 << 10);
        const auto memory = allocator.allocate();
        const char* stack = static_cast<char*>(memory.sp) - memory.size;
        boost::context::fiber context(
            std::allocator_arg,
            boost::context::preallocated(memory.sp, memory.size, memory),
            allocator, [this](boost::context::fiber&& from) {
                arrive(nullptr, std::move(from));
                work();
                return boost::context::fiber();
            });
        return new Fiber{std::move(context), stack, memory.size};
    }
    // Suspends the current fiber until something switches to it.
    [[gnu::always_inline]] void switch_to(Fiber& to) {
        previous_ = std::exchange(current_, &to);
        if (previous_ == &to) return;
        void* fake_stack = nullptr;
        __sanitizer_start_switch_fiber(&fake_stack, to.stack, to.size);
        arrive(fake_stack, std::move(to.context).resume());
    }
    void arrive(void* fake_stack, boost::context::fiber&& from) {
        __sanitizer_finish_switch_fiber(fake_stack, &previous_->stack,
                                        &previous_->size);
        previous_->context = std::move(from);
    }
    // What a fiber does, for ever: one thread after another, while others wait.
    void work() {
        for (;;) {
            try {
                (*kernel_)();
                leave();
            } catch (const Abandoned&) {
            } catch (...) {
                error_ = std::current_exception();
            }
            idle_.push_back(current_);
            const unsigned next = pick();
            switch_to(next == kNone ? home_ : fiber_of(next));
        }
    }
    void leave() {
        const unsigned w = threadIdx.x / kWarpSize;
        exited_ |= 1u << w;
        if (warps_[w].arrived != 0) fail("returns while its warp waits");
        if (waiting_warps_ != 0) fail("returns while other warps wait");
    }

    std::mutex mutex_;
    std::mt19937_64 random_;
    const std::function<void()>* kernel_ = nullptr;
    std::exception_ptr error_;
    Fiber home_;  // the stack that called run()
    Fiber *current_ = &home_, *previous_ = nullptr;
    Fiber* waiting_[kMaxThreads] = {};  // by thread
    std::vector<Fiber*> idle_;
    Warp warps_[kMaxThreads / kWarpSize] = {};
    unsigned warp_count_ = 0;
    unsigned warp_ = kNone;  // the warp that lanes are taken from
    std::uint32_t ready_warps_ = 0, exited_ = 0;  // some lanes of these
    unsigned waiting_warps_ = 0;                  // at the barrier
};

/// The one executor. Never destroyed: its fibers have no end.
inline Blocks& blocks = *new Blocks;

template <typename T>  // 64 bits as long long only, as in CUDA
concept Atomic = std::integral<T> && !std::same_as<T, unsigned long>;

}  // namespace qbnorm_host

[[gnu::always_inline]] inline void __syncthreads() {
    qbnorm_host::blocks.meet(qbnorm_host::kBarrier);
}
[[gnu::always_inline]] inline unsigned __ballot_sync(unsigned mask,
                                                     int predicate) {
    using namespace qbnorm_host;
    const unsigned bit = unsigned(predicate != 0) << threadIdx.x % kWarpSize;
    return unsigned(blocks.meet(kVote, mask, bit).sum);
}
template <typename T>
[[gnu::always_inline]] inline T __shfl_xor_sync(unsigned mask, T value,
                                                unsigned lanes) {
    using namespace qbnorm_host;
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    const auto& values = blocks.meet(kShuffle, mask, bits).values;
    std::memcpy(&value, &values[(threadIdx.x ^ lanes) % 32], sizeof value);
    return value;
}
[[gnu::always_inline]] inline int __reduce_add_sync(unsigned mask, int value) {
    return int(qbnorm_host::blocks.meet(qbnorm_host::kAdd, mask, value).sum);
}
[[gnu::always_inline]] inline unsigned __reduce_max_sync(unsigned mask,
                                                         unsigned value) {
    using namespace qbnorm_host;
    return unsigned(blocks.meet(kMax, mask, value).largest);
}

template <qbnorm_host::Atomic T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
    return std::exchange(*address, *address + value);
}
template <qbnorm_host::Atomic T>
T atomicMax(T* address, std::type_identity_t<T> value) {
    return std::exchange(*address, std::max(*address, value));
}
template <qbnorm_host::Atomic T>
T atomicMin(T* address, std::type_identity_t<T> value) {
    return std::exchange(*address, std::min(*address, value));
}
