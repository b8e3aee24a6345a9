#pragma once

#include <faiss/Index.h>

#include "faiss_qbnorm/core/activation_set.h"

namespace faiss_qbnorm {

/// Dynamic Inverted Softmax over a folded index (fold.h), in two searches: as
/// if without offsets, for the raw top-1 and ranking, then as it is, for the
/// queries (n x d) whose raw top-1 is in the activation set. Distances: of
/// those s - offset + mean_offset, of the others s, so compare within a row
/// only. `params` are what `folded` takes, or null.
///
/// Throws a faiss::FaissException where `folded` is not what fold() or
/// fold_refine() make (read from a file or not), and where `activation` cannot
/// be a set of its vectors, by its length.
void search_folded(const faiss::Index& folded, const ActivationSet& activation,
                   idx_t n, const float* x, idx_t k, float* distances,
                   idx_t* labels,
                   const faiss::SearchParameters* params = nullptr);

}  // namespace faiss_qbnorm
