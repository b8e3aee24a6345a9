#pragma once

#include <functional>

#include "faiss_qbnorm/engine.h"
#include "faiss_qbnorm/gallery.h"

namespace faiss_qbnorm {

/// What a gallery is normalised with: past queries (M x d) and, for the
/// methods that take one, other items of the gallery's kind.
struct Banks {
    MatrixView querybank;
    MatrixView gallerybank;

    Banks(const MatrixView& querybank, const MatrixView& gallerybank = {})
        : querybank(querybank), gallerybank(gallerybank) {}
};

struct FitOptions {
    Normalization normalization;
    Metric metric = Metric::inner_product;
    /// Rows [begin, end) of the gallery; end = -1 means its size.
    idx_t begin = 0;
    idx_t end = -1;
    /// Items in a bank list, at least activation_k; 0 means default_list_length
    /// or, where that is less, the gallery's size. Parts merge if it is equal.
    idx_t list_length = 0;
    /// dbsn: a column's log_weights, to fit more items as it was fitted; empty:
    /// they are learned from the whole gallery.
    SharedArray<float> log_weights = {};
    /// Called with the rows done so far, from one thread.
    std::function<void(idx_t)> progress = {};
};

/// A few more than the activation set needs.
inline idx_t default_list_length(const Normalization& normalization) {
    return normalization.activation_k + 8;
}

/// Scores the gallery with the banks and returns the table of its rows [begin,
/// end): the columns that normalization.method needs. Memory: one block, the
/// banks and the table. Throws on an empty bank, a wrong dimension, NaN or Inf
/// anywhere, parameters out of range, scores that overflow, and for gc, which
/// has no table.
NormTable fit(const Engine& engine, const Gallery& gallery, const Banks& banks,
              const FitOptions& options);

/// `table` with the rows of `gallery` that follow it, fitted as it was with the
/// same banks: what merge() makes of it and of their fit, but sooner, since
/// only items that beat those of the bank lists need be looked at. Throws as
/// both.
NormTable fit_more(const Engine& engine, const NormTable& table,
                   const Gallery& gallery, const Banks& banks);

}  // namespace faiss_qbnorm
