#pragma once

#include <faiss/Index.h>

#include <functional>
#include <memory>
#include <string>

#include "faiss_qbnorm/core/norm_table.h"
#include "faiss_qbnorm/gallery.h"

namespace faiss_qbnorm {

/// Indexes of FAISS's own classes that score s - offset + mean_offset, to be
/// written with faiss::write_index and searched without this library. Every
/// query is normalised, as by Inverted Softmax; search_folded.h adds DIS.
///
/// Their add() must not be used: it stores 1 for the offset. They cannot be
/// cloned, so not to a GPU either. Throws an Error unless the table is a whole
/// one of `gallery` (by its fingerprint), its metric is the inner product and
/// its querybank column's method is is or dis.

/// The mean over the items, which a folded index's scores hold too much:
/// centred offsets rank alike and suit approximate indexes better.
double mean_offset(const BankColumn& column);

/// What FAISS's factory makes in d + 1 dimensions, trained where it needs it,
/// filled with [g, mean_offset - offset] and put behind [q, 1]. `factory` must
/// make an IndexFlat, IndexScalarQuantizer, IndexIVFFlat,
/// IndexIVFScalarQuantizer, IndexHNSWFlat or IndexHNSWSQ; others do not keep
/// the offset. `progress` hears the items added so far. Holds the index, one
/// block of the gallery and a sample to train on.
std::unique_ptr<faiss::Index> fold(
    const NormTable& table, const Gallery& gallery, const std::string& factory,
    const std::function<void(idx_t)>& progress = {});

/// An IndexRefine that asks `base` (inner product, labels 0 .. ntotal - 1) for
/// k * k_factor items and ranks them by a folded "Flat". Owns both. k_factor is
/// at least 1.
std::unique_ptr<faiss::Index> fold_refine(
    const NormTable& table, const Gallery& gallery,
    std::unique_ptr<faiss::Index> base, float k_factor,
    const std::function<void(idx_t)>& progress = {});

}  // namespace faiss_qbnorm
