#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "faiss_qbnorm/core/norm_table.h"

/// Random data by a hash of its place, so that many cores (and
/// gpu/torch_dis.py, which repeats this to the bit) make the same gigabytes in
/// seconds.

namespace bench {

using faiss_qbnorm::idx_t;
using faiss_qbnorm::MatrixView;
using faiss_qbnorm::NormTable;

std::uint32_t hash(std::uint64_t place, std::uint32_t seed);

/// Host memory that nobody has cleared: its pages come with the cores that fill
/// them.
template <class T>
class HostArray {
  public:
    explicit HostArray(idx_t size)
        : owner_(allocate(size * static_cast<idx_t>(sizeof(T)))), size_(size) {}

    T* data() const { return static_cast<T*>(owner_.get()); }
    idx_t size() const { return size_; }
    T& operator[](idx_t i) const { return data()[i]; }
    std::span<T> span() const { return {data(), static_cast<size_t>(size_)}; }
    faiss_qbnorm::SharedArray<T> shared() const { return {owner_, span()}; }

  private:
    static std::shared_ptr<void> allocate(idx_t bytes);

    std::shared_ptr<void> owner_;
    idx_t size_;
};

/// Unit vectors, nearly uniform but for a common direction, which makes hubs
/// as a modality gap does.
class Vectors {
  public:
    Vectors(idx_t rows, int d, std::uint32_t seed);
    MatrixView view() const { return {data_.data(), rows_, d_}; }

  private:
    idx_t rows_;
    int d_;
    HostArray<float> data_;
};

/// Offsets around -0.5.
void fill_offsets(std::span<float> offsets, std::uint32_t seed);

/// A set of every other item.
void fill_activation(idx_t items, std::span<std::uint64_t> words,
                     std::uint32_t seed);

/// A table of offsets around -0.5 in which every other item is active.
NormTable make_table(idx_t items, int d, std::uint32_t seed);

/// Labels of [0, items) and scores of [0, 1), `count` of each.
void fill_candidates(idx_t items, std::uint32_t seed, HostArray<idx_t>& labels,
                     HostArray<float>& scores);

}  // namespace bench
