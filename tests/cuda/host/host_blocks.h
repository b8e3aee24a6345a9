// Runs the blocks of a CUDA kernel on the host, one block after another. Each
// thread of a block has a stack and gives way only where threads meet.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include "host_fibers.h"
#include "host_meeting.h"
#include "host_schedule.h"

namespace qbnorm_host {

/// The executor of blocks. One launch at a time, whichever OS thread asks.
class Blocks {
  public:
    /// Runs `kernel` once for each thread of the grid; throws what it throws,
    /// and std::logic_error if its threads do not meet as CUDA demands.
    void run(dim3 grid, dim3 block, const std::function<void()>& kernel) {
        const std::lock_guard<std::mutex> lock(mutex_);
        start_launch(grid, block, kernel);
        const std::uint64_t plane = std::uint64_t(grid.x) * grid.y;
        const std::uint64_t count = plane * grid.z;
        // A stride without a common divisor visits each block once.
        std::uint64_t stride = schedule_.random() % count;
        while (std::gcd(stride, count) != 1) {
            stride = (stride + 1) % count;
        }
        std::uint64_t b = schedule_.random() % count;
        for (std::uint64_t i = 0; i < count; ++i) {
            block_index = {unsigned(b % grid.x), unsigned(b % plane / grid.x),
                           unsigned(b / plane)};
            run_block();
            b += stride;
            b -= b < count ? 0 : count;
        }
    }

    /// Another seed, other orders of blocks, warps and lanes.
    void set_seed(std::uint64_t seed) {
        const std::lock_guard<std::mutex> lock(mutex_);
        schedule_.random = Random(seed);
    }

    /// Waits until the warp, or the block, is here with a value each.
    Exchange& meet(const Meeting& meeting, std::uint64_t value) {
        Warp& warp = here(meeting);
        Exchange& exchange = warp.exchanges[warp.turn];
        exchange.values[lane()] = value;
        exchange.reduced = false;
        warp.meeting = &meeting;
        warp.arrived |= 1u << lane();
        if (warp.arrived == ~0u) {
            open(warp);
        }
        wait();
        return exchange;
    }

    /// As meet, of a block: the number of threads whose value is not zero.
    unsigned meet_block(const Meeting& meeting, bool value) {
        unsigned& count = counts_[turn_];
        count += value;
        meet(meeting, 0);
        return count;
    }

    /// The calling thread's place in its warp.
    unsigned lane() const { return thread_ % kWarpSize; }

    /// Throws std::logic_error that names the calling block and thread.
    [[noreturn]] void fail(const std::string& what) const {
        throw std::logic_error("block " + show(block_index) + " thread " +
                               show(indices_[thread_]) + ": " + what);
    }

  private:
    struct Warp {
        const Meeting* meeting = nullptr;
        std::uint32_t arrived = 0;  // lanes that wait at `meeting`
        std::uint32_t exited = 0;
        unsigned turn = 0;  // a lane may be one meeting ahead: two exchanges
        Exchange exchanges[2];
    };
    struct Abandoned {};  // unwinds the threads that wait when one fails

    static std::string show(uint3 v) {
        return "(" + std::to_string(v.x) + "," + std::to_string(v.y) + "," +
               std::to_string(v.z) + ")";
    }

    void start_launch(dim3 grid, dim3 block, const std::function<void()>& f) {
        threads_ = block.x * block.y * block.z;
        if (threads_ == 0 || threads_ > kMaxThreads || threads_ % kWarpSize) {
            throw std::logic_error("a block of " + std::to_string(threads_) +
                                   " threads: not a multiple of 32 to 1024");
        }
        for (unsigned t = 0; t < threads_; ++t) {
            indices_[t] = {t % block.x, t / block.x % block.y,
                           t / block.x / block.y};
        }
        kernel_ = &f;
        block_size = block;
        grid_size = grid;
    }

    void run_block() {
        exited_ = waiting_ = counts_[turn_] = 0;
        schedule_.clear();
        for (unsigned w = 0; w < threads_ / kWarpSize; ++w) {
            warps_[w].arrived = warps_[w].exited = 0;
            schedule_.add_warp(w);
        }
        running_ = true;
        fibers_.leave_home(worker_of(schedule_.pick()));
        running_ = aborting_ = false;
        if (error_) {
            std::rethrow_exception(std::exchange(error_, nullptr));
        }
    }

    // The calling thread's warp, if the thread may wait at this meeting now.
    Warp& here(const Meeting& meeting) {
        if (!running_) {
            throw std::logic_error(meeting.name + std::string(": no kernel"));
        }
        Warp& warp = warps_[thread_ / kWarpSize];
        if (warp.arrived != 0 && warp.meeting != &meeting) {
            const unsigned other = thread_ / kWarpSize * kWarpSize +
                                   unsigned(__builtin_ctz(warp.arrived));
            fail(std::string(meeting.name) + " while thread " +
                 show(indices_[other]) + " of its warp is at " +
                 warp.meeting->name);
        }
        if (warp.exited != 0 || (meeting.of_block && exited_ != 0)) {
            fail(std::string(meeting.name) + " after a thread of its " +
                 (warp.exited != 0 ? "warp" : "block") + " has returned");
        }
        return warp;
    }

    // All lanes of a warp are here; of a block's meeting, all warps must be.
    void open(Warp& warp) {
        if (!warp.meeting->of_block) {
            let_go(warp);
            return;
        }
        if (waiting_ != 0 && block_meeting_ != warp.meeting) {
            fail(std::string(warp.meeting->name) +
                 " while another warp is at " + block_meeting_->name);
        }
        block_meeting_ = warp.meeting;
        if (++waiting_ == threads_ / kWarpSize) {
            waiting_ = 0;
            turn_ ^= 1;
            counts_[turn_] = 0;
            for (unsigned w = 0; w < threads_ / kWarpSize; ++w) {
                let_go(warps_[w]);
            }
        }
    }
    void let_go(Warp& warp) {
        warp.arrived = 0;
        warp.turn ^= 1;
        schedule_.add_warp(unsigned(&warp - warps_));
    }

    // Lets others run until the calling thread is runnable and its turn.
    void wait() {
        const unsigned self = thread_;
        const unsigned next = schedule_.pick();
        if (next == kNoThread) {
            fail("deadlock: no thread can run");
        }
        if (next == self) {
            return;
        }
        waiters_[self] = &fibers_.current();
        fibers_.switch_to(worker_of(next));
        if (aborting_) {
            throw Abandoned{};
        }
        enter(self);
    }
    void enter(unsigned thread) {
        thread_ = thread;
        thread_index = indices_[thread];
    }

    // The worker on which a thread waits, or an idle one to start it.
    Worker& worker_of(unsigned thread) {
        if (waiters_[thread] != nullptr) {
            return *std::exchange(waiters_[thread], nullptr);
        }
        return fibers_.take(thread, [this](Worker& worker) { work(worker); });
    }

    void work(Worker& self) {
        for (;;) {
            run_thread(self.thread);
            const unsigned next = schedule_.pick();
            if (next == kNoThread) {
                fibers_.give_back(self);
                fibers_.back_home();
            } else if (waiters_[next] != nullptr) {
                fibers_.give_back(self);
                fibers_.switch_to(worker_of(next));
            } else {
                self.thread = next;  // this stack is free: no switch
            }
        }
    }
    void run_thread(unsigned thread) {
        try {
            enter(thread);
            (*kernel_)();
            leave();
        } catch (const Abandoned&) {
        } catch (...) {
            abort(std::current_exception());
        }
    }
    void leave() {
        Warp& warp = warps_[thread_ / kWarpSize];
        warp.exited |= 1u << lane();
        ++exited_;
        if (warp.arrived != 0 || waiting_ != 0) {
            fail(std::string("returns while another thread waits at ") +
                 (warp.arrived != 0 ? warp.meeting : block_meeting_)->name);
        }
    }
    // Only the threads that wait run on, and only to unwind.
    void abort(std::exception_ptr error) {
        error_ = error_ ? error_ : error;
        aborting_ = true;
        schedule_.clear();
        for (unsigned t = 0; t < threads_; ++t) {
            if (waiters_[t] != nullptr) {
                schedule_.add_thread(t);
            }
        }
    }

    std::mutex mutex_;
    Fibers fibers_;
    Schedule schedule_;
    const std::function<void()>* kernel_ = nullptr;
    unsigned threads_ = 0;
    uint3 indices_[kMaxThreads];
    bool running_ = false;
    bool aborting_ = false;
    std::exception_ptr error_;
    Worker* waiters_[kMaxThreads] = {};

    Warp warps_[kMaxThreads / kWarpSize];
    unsigned thread_ = 0;
    unsigned exited_ = 0;
    unsigned waiting_ = 0;  // warps at block_meeting_
    const Meeting* block_meeting_ = nullptr;
    unsigned turn_ = 0;
    unsigned counts_[2] = {};
};

/// The one executor. Never destroyed: its stacks are never left.
inline Blocks& blocks = *new Blocks;

}  // namespace qbnorm_host
