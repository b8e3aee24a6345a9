#pragma once

#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm {

/// How the CUDA engine cuts its work; one set for sm_80 and sm_90. Tests force
/// them small.
struct CudaTiles {
    /// A tile of scores; two of them, one a stream, stay in L2 (40 MB on an
    /// A100, 60 MB on an H200).
    idx_t tile_bytes = idx_t{16} << 20;
    int tile_columns = 2048;       ///< bank queries or queries, at most
    idx_t probe_rows = 16384;      ///< gallery items in a probe's tile, at most
    idx_t scan_rows = 1 << 20;     ///< in a scan's tile, at most
    idx_t shortlist_least = 2048;  ///< slots of a query's shortlist ...
    idx_t shortlist_most = 32768;  ///< ... at least and at most
    /// Shortlists of all queries at once; more queries go one panel after
    /// another.
    idx_t shortlist_bytes = idx_t{1} << 30;
    /// Gallery rows that are copied to the device at once; two such chunks are
    /// under way.
    idx_t chunk_bytes = idx_t{128} << 20;
    /// Exact scores brought to the host at once, where a shortlist is too short
    /// or ranks are counted.
    idx_t exact_scores = idx_t{1} << 22;
    /// Candidates reranked at once; two such batches are under way.
    idx_t rerank_candidates = idx_t{1} << 20;
    /// Device memory that a bound gallery leaves free for the rest.
    idx_t reserve_bytes = idx_t{4} << 30;
};

}  // namespace faiss_qbnorm
