#pragma once

#include <memory>

#include "faiss_qbnorm/cpu/tiles.h"
#include "faiss_qbnorm/engine.h"

namespace faiss_qbnorm {

/// Who multiplies: oneDNN where the build has it, or plain BLAS.
enum class CpuProducts { automatic, blas };

struct CpuOptions {
    Precision precision = Precision::automatic;  ///< of offsets: fp32, bf16
    CpuProducts products = CpuProducts::automatic;
    CpuTiles tiles = {};
};

/// The engine on the CPU, on OpenMP's threads, whose omp_set_num_threads it
/// honours. Called "cpu", or "cpu:blas" where products are BLAS's. Offsets err
/// by some 1e-6 in fp32 and by up to 4e-3 in bf16 on unit vectors (2^-8 |b||g|;
/// 3e-4 measured); rankings are exact in both. Throws where a precision is not
/// there on this machine.
std::unique_ptr<Engine> make_engine_cpu(const CpuOptions& options = {});

}  // namespace faiss_qbnorm
