#pragma once

#include <span>

#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm {

/// How one query was answered.
struct QueryReport {
    bool open = false;     ///< it ranked by s - offset
    idx_t candidates = 0;  ///< items that were ranked for it
    /// By the base's distances nothing that was not ranked belongs into the
    /// answer (ties aside).
    bool certified = false;
};

/// How the queries of one call were answered (sums of QueryReport).
struct QBNormSearchStats {
    idx_t queries = 0;
    idx_t open_gates = 0;
    idx_t candidates = 0;
    idx_t certified = 0;
};

QBNormSearchStats stats_of(std::span<const QueryReport> reports);

}  // namespace faiss_qbnorm
