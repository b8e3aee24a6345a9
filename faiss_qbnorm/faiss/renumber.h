#pragma once

#include <faiss/Index.h>

#include <vector>

#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm {

/// Gives the IVF index that `base` is, or transforms for, labels 0 ..
/// ntotal - 1 in the order of its own (equal ones in the order of the lists),
/// which are returned. Rewrites the inverted lists in place; throws, before
/// it has changed any, where that cannot be done.
std::vector<idx_t> renumber(faiss::Index& base);

}  // namespace faiss_qbnorm
