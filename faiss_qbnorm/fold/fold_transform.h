#pragma once

#include <faiss/IndexPreTransform.h>

#include <memory>

namespace faiss_qbnorm {

/// The filled index over vectors [g, c], behind FAISS transforms that make
/// [q, 1] of q, so that it scores q . g + c. Reading back gives g, exactly
/// where `inner` does. (One LinearTransform would do, but 50 times slower, and
/// it does not read back.)
std::unique_ptr<faiss::IndexPreTransform> behind_one(
    std::unique_ptr<faiss::Index> inner);

/// The index, if it is what behind_one makes or such a one read from a file;
/// else nullptr.
const faiss::IndexPreTransform* as_behind_one(const faiss::Index& index);

/// The same vectors behind [q, 0], so that they score q . g. Owns nothing.
faiss::IndexPreTransform behind_zero(const faiss::IndexPreTransform& one);

}  // namespace faiss_qbnorm
