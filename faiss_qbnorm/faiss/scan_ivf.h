#pragma once

#include <faiss/Index.h>

#include "faiss_qbnorm/faiss/search_base.h"

namespace faiss {
struct IndexIVF;
}

namespace faiss_qbnorm {

/// The index, if it is one whose lists scan_ivf scans as its own search with
/// `params` does: IndexIVFFlat, IndexIVFScalarQuantizer, IndexIVFPQ (without a
/// polysemous filter, nor with parameters that a later FAISS added); else
/// nullptr.
const faiss::IndexIVF* scannable_ivf(const faiss::Index& index,
                                     const faiss::SearchParameters* params);

/// Scans each query's probed lists once, with the base's own distances, for
/// the raw top-1, the raw top-k and the top-k of s - offset, and answers as
/// the plan asks: exactly over those lists, at the price of the base's own
/// search. `params` are the base's (SearchParametersIVF) or null; `reports`,
/// one a query, may be null.
void scan_ivf(const faiss::IndexIVF& ivf, const SearchPlan& plan,
              const MatrixView& queries, idx_t k, const Answers& answers,
              const faiss::SearchParameters* params, QueryReport* reports);

/// Whether a range search with `params` looks into every list.
bool probes_all_lists(const faiss::IndexIVF& ivf,
                      const faiss::SearchParameters* params);

}  // namespace faiss_qbnorm
