#pragma once

#include <faiss/Index.h>

#include "faiss_qbnorm/engine.h"
#include "faiss_qbnorm/faiss/search_report.h"

namespace faiss_qbnorm {

/// What a normalised search over a base index is made with.
struct SearchPlan {
    const Engine& engine;
    Metric metric;
    const BankColumn& column;
    float least_offset;  ///< of the column
    const BoundTable& bound_table;
    const BoundGallery* bound_gallery;  ///< of `bound_vectors`, or null
    const float* bound_vectors;
    Method method;
    float k_factor;
    idx_t min_candidates;
};

/// Searches `base` (metric and vectors are the table's) by the path that it
/// allows: flat bases are scanned, IVF bases' probed lists are scanned, any
/// other base's candidates are reranked; each behind an IndexPreTransform too.
/// Where a selector filters, the gate looks at what it lets through: an answer
/// depends on nothing that its asker may not see. `params` are the base's own,
/// or null; `reports`, one a query, may be null.
void search_base(const faiss::Index& base, const SearchPlan& plan,
                 const MatrixView& queries, idx_t k, const Answers& answers,
                 const faiss::SearchParameters* params,
                 QueryReport* reports = nullptr);

/// How many candidates such a search takes of a base that is not scanned.
idx_t candidates_of(const faiss::Index& base, const SearchPlan& plan, idx_t k,
                    const faiss::SearchParameters* params);

}  // namespace faiss_qbnorm
