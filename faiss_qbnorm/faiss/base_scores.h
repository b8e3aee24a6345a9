#pragma once

#include <faiss/Index.h>

namespace faiss_qbnorm {

/// What the distances of an index (no IndexPreTransform: see unwrap.h) are,
/// when it is searched with `params` (its own, or null). Shards and replicas
/// are what their parts are.

/// Throws where the index returns Hamming distances, which have no offsets.
void require_scores(const faiss::Index& index,
                    const faiss::SearchParameters* params);

/// Whether the index's k answers are the best k of all by its own distances.
bool returns_exact_top_k(const faiss::Index& index,
                         const faiss::SearchParameters* params);

}  // namespace faiss_qbnorm
