// Stacks on which the host runs the threads of a kernel, kept for reuse.
#pragma once

#include <boost/context/fiber.hpp>
#include <boost/context/preallocated.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace qbnorm_host {

/// A stack, and the number of the thread that it runs.
struct Worker {
    boost::context::fiber fiber;
    const void* stack = nullptr;
    std::size_t stack_size = 0;
    unsigned thread = 0;
};

/// The workers: one OS thread at a time runs exactly one of them, or itself.
class Fibers {
  public:
    /// Runs `worker` from the OS thread's own stack until back_home().
    void leave_home(Worker& worker) {
        current_ = &home_;
        switch_to(worker);
    }
    void back_home() { switch_to(home_); }

    Worker& current() { return *current_; }

    /// Suspends the current worker until somebody switches to it.
    void switch_to(Worker& to) {
        Worker& from = *current_;
        previous_ = &from;
        current_ = &to;
        void* fake_stack = nullptr;
#if defined(__SANITIZE_ADDRESS__)
        __sanitizer_start_switch_fiber(&fake_stack, to.stack, to.stack_size);
#endif
        boost::context::fiber back = std::move(to.fiber).resume();
        arrive(fake_stack, std::move(back));
    }

    /// An idle worker. A new one calls work(worker), which must not return.
    template <typename Work>
    Worker& take(unsigned thread, const Work& work) {
        if (idle_.empty()) {
            idle_.push_back(start(work));
        }
        Worker& worker = *idle_.back();
        idle_.pop_back();
        worker.thread = thread;
        return worker;
    }
    void give_back(Worker& worker) {
        idle_.push_back(&worker);
    }

  private:
#if defined(__SANITIZE_ADDRESS__)
    static constexpr std::size_t kStackBytes = 256 << 10;
#else
    static constexpr std::size_t kStackBytes = 64 << 10;
#endif

    // Never deleted: a fiber that has no end cannot be destroyed.
    template <typename Work>
    Worker* start(const Work& work) {
        boost::context::protected_fixedsize_stack allocator(kStackBytes);
        const auto stack = allocator.allocate();
        auto* worker = new Worker;
        worker->stack = static_cast<char*>(stack.sp) - stack.size;
        worker->stack_size = stack.size;
        worker->fiber = boost::context::fiber(
            std::allocator_arg,
            boost::context::preallocated(stack.sp, stack.size, stack),
            allocator, [this, worker, work](boost::context::fiber&& from) {
                arrive(nullptr, std::move(from));
                work(*worker);
                return boost::context::fiber();
            });
        return worker;
    }

    // First thing on a stack after a switch: keeps where it came from.
    void arrive([[maybe_unused]] void* fake_stack,
                boost::context::fiber&& from) {
#if defined(__SANITIZE_ADDRESS__)
        __sanitizer_finish_switch_fiber(fake_stack, &previous_->stack,
                                        &previous_->stack_size);
#endif
        previous_->fiber = std::move(from);
    }

    Worker home_;
    Worker* current_ = nullptr;
    Worker* previous_ = nullptr;
    std::vector<Worker*> idle_;
};

}  // namespace qbnorm_host
