#pragma once

#include <numeric>
#include <random>
#include <vector>

#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm {

/// The first `n` of a random order of 0 .. size - 1: the same everywhere for
/// the same seed.
inline std::vector<idx_t> draw(idx_t size, idx_t n, std::uint32_t seed) {
    std::mt19937_64 random(seed);
    std::vector<idx_t> order(size);
    std::iota(order.begin(), order.end(), 0);
    for (idx_t i = 0; i < n; i++) {
        const auto left = static_cast<std::uint64_t>(size - i);
        std::swap(order[i], order[i + static_cast<idx_t>(random() % left)]);
    }
    order.resize(n);
    return order;
}

}  // namespace faiss_qbnorm
