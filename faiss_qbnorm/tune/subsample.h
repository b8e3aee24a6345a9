#pragma once

#include <vector>

#include "faiss_qbnorm/similarities/similarities.h"

namespace faiss_qbnorm {

/// The rows, ascending, of a smaller bank of `size` rows that keeps the effect:
/// rows that repeat others are left out, the others ordered by the item that
/// comes first for them, at random where that is the same, and every so manieth
/// is taken. Each item keeps its share of hits, so that the activation set and
/// the hubs stay what they were. Always the same rows for the same bank.
///
/// R@1 on the manual pages of bench/data/README.md, full size (bank of 14,828,
/// best beta, mean of 4 draws; raw 46.6), against a plain random draw:
///
///     rows     IS, random   this    DIS, random   this
///     1,000    55.3         55.7    52.2          53.5
///     5,000    57.7         57.8    56.7          57.3
///
/// Covering as many items as possible instead: 55.3 and 57.5, 53.1 and 57.3.
///
/// Throws where `size` is less than 1 or more than the bank has of distinct
/// rows.
std::vector<idx_t> subsample(const MatrixView& vectors,
                             const Similarities& bank, idx_t size);

/// The first of each group of equal rows, ascending.
std::vector<idx_t> distinct_rows(const MatrixView& vectors);

}  // namespace faiss_qbnorm
