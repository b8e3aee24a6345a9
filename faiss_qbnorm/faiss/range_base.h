#pragma once

#include <faiss/impl/AuxIndexStructures.h>

#include "faiss_qbnorm/faiss/search_base.h"

namespace faiss_qbnorm {

/// Range search by what the plan's method ranks by: every item whose distance,
/// as search_base's answers have it, is beyond `radius` as FAISS means it (IP:
/// above, L2: below; never equal), in no order. Flat bases are searched
/// exactly; any other is as exact as its own range_search, and refused where it
/// has none. Gates are search_base's.
QBNormSearchStats range_search_base(const faiss::Index& base,
                                    const SearchPlan& plan,
                                    const MatrixView& queries, float radius,
                                    faiss::RangeSearchResult* result,
                                    const faiss::SearchParameters* params);

}  // namespace faiss_qbnorm
