#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <new>
#include <vector>

/// Arrays that nobody can read or write beyond.

namespace guarded {

/// An array that ends where a page ends, and the next page is forbidden: one
/// element too many is a fault. Its start is as unaligned as its size is.
template <class T>
class Array {
  public:
    explicit Array(size_t n, T value = T{}) : size_(n) {
        const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        const size_t used = (n * sizeof(T) + page - 1) / page * page;
        bytes_ = used + page;
        memory_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory_ == MAP_FAILED) throw std::bad_alloc();
        std::byte* end = static_cast<std::byte*>(memory_) + used;
        if (mprotect(end, page, PROT_NONE) != 0) throw std::bad_alloc();
        first_ = reinterpret_cast<T*>(end) - n;
        std::fill_n(first_, n, value);
    }
    explicit Array(const std::vector<T>& values) : Array(values.size()) {
        std::copy(values.begin(), values.end(), first_);
    }
    ~Array() { munmap(memory_, bytes_); }
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;

    T* data() { return first_; }
    const T* data() const { return first_; }
    size_t size() const { return size_; }
    T& operator[](size_t i) { return first_[i]; }
    const T& operator[](size_t i) const { return first_[i]; }
    T* begin() { return first_; }
    T* end() { return first_ + size_; }
    const T* begin() const { return first_; }
    const T* end() const { return first_ + size_; }

  private:
    size_t size_;
    size_t bytes_;
    void* memory_;
    T* first_;
};

}  // namespace guarded
