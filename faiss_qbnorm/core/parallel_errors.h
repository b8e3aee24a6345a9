#pragma once

#include <atomic>
#include <exception>
#include <utility>

namespace faiss_qbnorm {

/// Carries the first exception out of an OpenMP region, which none may leave.
class ParallelErrors {
  public:
    /// Runs `work` unless another thread has failed already.
    template <class Work>
    void run(Work&& work) noexcept {
        if (failed_.load(std::memory_order_relaxed)) return;
        try {
            std::forward<Work>(work)();
        } catch (...) {
            if (!failed_.exchange(true)) first_ = std::current_exception();
        }
    }

    /// Call after the region.
    void rethrow() const {
        if (first_) std::rethrow_exception(first_);
    }

  private:
    std::atomic<bool> failed_ = false;
    std::exception_ptr first_;
};

}  // namespace faiss_qbnorm
