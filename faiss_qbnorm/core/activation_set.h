#pragma once

#include <bit>

#include "faiss_qbnorm/core/shared_array.h"
#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm {

/// A set of gallery items, one bit each: those in the top `activation_k` of
/// some bank query (Bogolin et al. 2022, section 3.3).
class ActivationSet {
  public:
    ActivationSet() = default;

    /// Bit i % 64 of word i / 64 is item i; bits past the last item are 0.
    explicit ActivationSet(SharedArray<std::uint64_t> words)
        : words_(std::move(words)) {}

    /// The set of the `items` among `size` items; -1 is no item.
    ActivationSet(idx_t size, std::span<const idx_t> items) {
        std::vector<std::uint64_t> words(words_for(size), 0);
        for (const idx_t item : items) {
            if (item >= 0) words[item / 64] |= std::uint64_t{1} << (item % 64);
        }
        words_ = std::move(words);
    }

    static size_t words_for(idx_t size) { return (size + 63) / 64; }

    bool contains(idx_t item) const {
        return (words_[item / 64] >> (item % 64)) & 1;
    }

    idx_t count() const {
        idx_t bits = 0;
        for (const std::uint64_t word : words_) bits += std::popcount(word);
        return bits;
    }

    const SharedArray<std::uint64_t>& words() const { return words_; }

  private:
    SharedArray<std::uint64_t> words_;
};

}  // namespace faiss_qbnorm
