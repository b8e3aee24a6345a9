#pragma once

#include <algorithm>
#include <string>

#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm {

/// The similarities of some rows (queries, or a bank) with every item of a
/// gallery, wherever they come from: vectors, or a matrix file as the papers'
/// code takes it. Read a block of items at a time, they need not fit into
/// memory.
class Similarities {
  public:
    virtual ~Similarities() = default;

    virtual idx_t rows() const = 0;
    virtual idx_t items() const = 0;
    /// What errors call it: a file name, or what the rows are.
    virtual std::string name() const = 0;

    /// Writes the similarity of row r with item begin + i to
    /// out[i * rows() + r]: finite, and a score as it ranks everywhere in this
    /// library, rounded once to float32. May be called concurrently.
    virtual void read(idx_t begin, idx_t end, float* out) const = 0;
};

/// Items of a block of about 64 MB.
inline idx_t block_items(const Similarities& similarities) {
    constexpr idx_t floats = idx_t{1} << 24;
    constexpr idx_t most = 4096;
    return std::clamp<idx_t>(floats / std::max<idx_t>(similarities.rows(), 1),
                             1, most);
}

}  // namespace faiss_qbnorm
