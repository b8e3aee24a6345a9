#pragma once

#include <functional>

#include "faiss_qbnorm/engine.h"
#include "faiss_qbnorm/gallery.h"

namespace faiss_qbnorm {

struct FitOptions {
    Normalization normalization;
    Metric metric = Metric::inner_product;
    /// Rows [begin, end) of the gallery; end = -1 means its size.
    idx_t begin = 0;
    idx_t end = -1;
    /// Items in a bank list, at least activation_k; 0 means default_list_length
    /// or, where that is less, the gallery's size. Parts merge if it is equal.
    idx_t list_length = 0;
    /// Called with the rows done so far, from one thread.
    std::function<void(idx_t)> progress;
};

/// A few more than the activation set needs.
inline idx_t default_list_length(const Normalization& normalization) {
    return normalization.activation_k + 8;
}

/// Probes the gallery with the querybank (M x d) and returns the table of its
/// rows [begin, end): IS offsets, activation set, bank lists. Memory: one
/// block, the bank and the table. Throws on an empty bank, a wrong dimension,
/// NaN or Inf anywhere, parameters out of range, scores that overflow.
NormTable fit(const Engine& engine, const Gallery& gallery,
              const MatrixView& querybank, const FitOptions& options);

}  // namespace faiss_qbnorm
