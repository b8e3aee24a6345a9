#pragma once

#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm {

/// How the CPU engine cuts its matrix products: a tile of scores stays in L2.
/// Tests force them small.
struct CpuTiles {
    idx_t probe_gallery = 128;  ///< gallery rows x bank queries
    idx_t probe_bank = 1024;
    idx_t scan_queries = 64;  ///< queries x gallery rows
    idx_t scan_gallery = 2048;
};

}  // namespace faiss_qbnorm
