#pragma once

#include <faiss/Index.h>

#include <functional>
#include <vector>

#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm {

/// The labels of an index (no IndexPreTransform: see unwrap.h). Only an IVF
/// index, or an ID map, may have others than 0 .. ntotal - 1.

/// Where an item lies in inverted lists.
struct ListEntry {
    idx_t list;
    idx_t offset;
};

/// Shows `visit` every label, in no order (IVF: as the lists have them).
void for_each_label(const faiss::Index& index,
                    const std::function<void(ListEntry, idx_t)>& visit);

/// The labels in ascending order.
std::vector<idx_t> labels_of(const faiss::Index& index);

/// How many labels, holes included, an index of so many items may have: what
/// holes cost must stay small beside the vectors.
idx_t most_labels(idx_t items);

/// One more than the largest label. Throws where two items share one, where one
/// is not below max(most_labels(ntotal), allowed) (ids of their own), and on ID
/// maps.
idx_t label_range(const faiss::Index& index, idx_t allowed = 0);

/// Whether the labels are 0 .. ntotal - 1, each once.
bool has_sequential_labels(const faiss::Index& index);

/// Throws where they are not; `mend` ends the sentence.
void require_sequential_labels(const faiss::Index& index, const char* mend);

}  // namespace faiss_qbnorm
