#pragma once

#include "faiss_qbnorm/core/norm_table.h"
#include "faiss_qbnorm/similarities/similarities.h"

namespace faiss_qbnorm {

/// The column that one bank's similarities (bank queries x items) make for
/// column_kind(normalization.method), summed in double; p_ij is what it reads:
///   is    (log sum_i exp(beta p_ij) - log M) / beta, activation set and bank
///         lists (of `list_length`, 0 as in FitOptions)
///   csls  r_j / 2, r_j the mean of the min(neighbours, M) largest p_ij
///   nnn   alpha r_j
///   cent  the mean of p_ij over i
///   dbsn  (log sum_i w_i exp(beta p_ij) - log M) / beta, with `log_weights`
///   or,
///         where these are empty, what Sinkhorn's iterations learn from the
///         items of `bank` alone
/// Throws on an empty bank, on parameters out of range, on offsets that
/// overflow float32, and for gc, which has no table. The bank's fingerprint is
/// 0: its vectors are not known.
BankColumn fit_column(const Similarities& bank, Bank which,
                      const Normalization& normalization, idx_t list_length = 0,
                      const SharedArray<float>& log_weights = {});

/// The table of all items with the columns that normalization.method needs:
/// the querybank's; for dualis and dualdis the gallerybank's, too. d and
/// fingerprint are 0: no vectors are known.
NormTable fit_similarities(const Similarities& querybank,
                           const Similarities* gallerybank,
                           const Normalization& normalization);

}  // namespace faiss_qbnorm
