#pragma once

#include <memory>

#include "faiss_qbnorm/cpu/tiles.h"
#include "faiss_qbnorm/engine.h"

namespace faiss_qbnorm {

/// The engine on the CPU: blocked BLAS products and OpenMP, whose
/// omp_set_num_threads it honours.
std::unique_ptr<Engine> make_engine_cpu(const CpuTiles& tiles = {});

}  // namespace faiss_qbnorm
