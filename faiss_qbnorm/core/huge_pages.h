#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

namespace faiss_qbnorm {

/// Aligned to cache lines, and in huge pages where an array is large: a random
/// read of a table then misses one translation less, which halves its time.
template <class T>
struct HugePages {
    using value_type = T;

    HugePages() = default;
    template <class U>
    explicit HugePages(const HugePages<U>&) {}

    T* allocate(size_t n) {
        constexpr size_t page = size_t{1} << 21;
        if (n > (SIZE_MAX - page) / sizeof(T)) throw std::bad_alloc();
        const size_t bytes = n * sizeof(T);
        if (bytes < page) {
            return static_cast<T*>(::operator new(bytes, line));
        }
        const size_t rounded = (bytes + page - 1) / page * page;
        void* memory = std::aligned_alloc(page, rounded);
        if (!memory) throw std::bad_alloc();
        madvise(memory, rounded,
                MADV_HUGEPAGE);  // a wish, no matter if refused
        return static_cast<T*>(memory);
    }
    void deallocate(T* memory, size_t n) noexcept {
        constexpr size_t page = size_t{1} << 21;
        if (n * sizeof(T) < page) {
            ::operator delete(memory, line);
        } else {
            std::free(memory);
        }
    }

    bool operator==(const HugePages&) const = default;

  private:
    static constexpr std::align_val_t line{64};
};

template <class T>
using HugeVector = std::vector<T, HugePages<T>>;

template <class T>
struct HugeDelete {
    size_t size;
    void operator()(T* memory) const noexcept {
        HugePages<T>().deallocate(memory, size);
    }
};

template <class T>
using HugeArray = std::unique_ptr<T[], HugeDelete<T>>;

/// Such memory before anything is written to it: whoever does so first, maybe
/// one thread of many, brings its pages.
template <class T>
HugeArray<T> huge_array(size_t size) {
    static_assert(std::is_trivial_v<T>);
    return {HugePages<T>().allocate(size), {size}};
}

}  // namespace faiss_qbnorm
