#pragma once

#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "faiss_qbnorm/core/huge_pages.h"

namespace faiss_qbnorm {

/// A constant array that owns a vector or keeps alive whatever holds its
/// elements (a mapped file), so that tables of a billion items need no copy.
template <class T>
class SharedArray {
  public:
    SharedArray() = default;

    template <class Allocator>
    SharedArray(std::vector<T, Allocator> values)  // NOLINT: an array is one
        : in_huge_pages_(std::is_same_v<Allocator, HugePages<T>>) {
        const auto owned = std::make_shared<const std::vector<T, Allocator>>(
            std::move(values));
        view_ = *owned;
        owner_ = owned;
    }

    SharedArray(std::shared_ptr<const void> owner, std::span<const T> view)
        : owner_(std::move(owner)), view_(view) {}

    std::span<const T> view() const { return view_; }
    const T* data() const { return view_.data(); }
    size_t size() const { return view_.size(); }
    bool empty() const { return view_.empty(); }
    /// Whether random reads are as cheap as they can be.
    bool in_huge_pages() const { return in_huge_pages_; }
    const T& operator[](size_t i) const { return view_[i]; }
    auto begin() const { return view_.begin(); }
    auto end() const { return view_.end(); }

  private:
    std::shared_ptr<const void> owner_;
    std::span<const T> view_;
    bool in_huge_pages_ = false;
};

}  // namespace faiss_qbnorm
