#pragma once

#include <memory>

#include "faiss_qbnorm/IndexQBNorm.h"

namespace faiss_qbnorm {

/// Normalises an index that exists with banks (m x d each): an IndexQBNorm over
/// it, or, where it is a faiss::IndexIDMap or IndexIDMap2,
/// that map with an IndexQBNorm inside. The result owns `index`.
///
/// An IVF index (also behind an IndexPreTransform) whose labels are not 0 ..
/// ntotal - 1 gets these, in the order of its own, in place; its own become
/// the ids of an IndexIDMap2 around. Of two vectors of one label both keep it.
///
/// The vectors are read back from the index, or given as `gallery`
/// (ntotal x d) in the order of labels, in an ID map the order of adding.
/// Throws faiss::FaissException; `index` is lost then.
std::unique_ptr<faiss::Index> attach(
    std::unique_ptr<faiss::Index> index, const Normalization& normalization,
    const Banks& banks, const float* gallery = nullptr,
    std::shared_ptr<const Engine> engine = nullptr);

}  // namespace faiss_qbnorm
