#pragma once

#include "faiss_qbnorm/faiss/search_base.h"

namespace faiss_qbnorm {

/// Searches `base` by dualdis: `plan` is that of dualis over the same `table`.
/// Queries whose gates are both open are answered as dualis does. No offset
/// expresses the others' scores: of every base, candidates (as of one that is
/// not scanned) are reranked for them.
void search_dualdis(const faiss::Index& base, const SearchPlan& plan,
                    const NormTable& table, const MatrixView& queries, idx_t k,
                    const Answers& answers,
                    const faiss::SearchParameters* params,
                    QueryReport* reports);

}  // namespace faiss_qbnorm
