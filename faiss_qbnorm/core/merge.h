#pragma once

#include "faiss_qbnorm/core/norm_table.h"

namespace faiss_qbnorm {

/// Joins tables of row ranges that follow one another (in any order of
/// arrival) into exactly the table that a fit of their union gives. Throws
/// where ranges overlap or leave a gap, or where the parts were not fitted
/// with the same bank and normalisation.
NormTable merge(std::span<const NormTable* const> parts);

/// merge() of a table and of `more`, the rows that follow it, whose bank lists
/// began as the table's.
NormTable append(const NormTable& table, const NormTable& more);

}  // namespace faiss_qbnorm
