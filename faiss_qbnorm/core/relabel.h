#pragma once

#include "faiss_qbnorm/core/norm_table.h"

namespace faiss_qbnorm {

/// Tables seen in a larger gallery, so that merge() can join them.

/// Rows [begin, begin + size) of a gallery that ends with them. The
/// fingerprint, which hashes labels, is not known.
NormTable moved_to(const NormTable& table, idx_t begin);

/// The first rows of a gallery of `gallery_size`; from the table's end to
/// `end` there are holes.
NormTable grown(const NormTable& table, idx_t end, idx_t gallery_size);

/// With bank lists of at least `length`, as far as they are known.
NormTable with_longer_lists(const NormTable& table, idx_t length);

}  // namespace faiss_qbnorm
