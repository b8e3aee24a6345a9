#pragma once

#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm {

/// How the CPU engine cuts its matrix products: gallery rows x bank or search
/// queries whose scores stay in L2. Tests force them small.
struct CpuTiles {
    idx_t gallery = 256;
    idx_t queries = 256;
};

}  // namespace faiss_qbnorm
