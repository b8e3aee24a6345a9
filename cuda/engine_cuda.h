#pragma once

#include <memory>

#include "cuda/tiles.h"
#include "faiss_qbnorm/engine.h"

namespace faiss_qbnorm {

/// The engine on an NVIDIA GPU of compute capability 8.0 or higher, by number
/// as CUDA counts them. Throws where there is no such device. Handles refer to
/// the engine: they must go first.
///
/// More than 4,096 candidates are reranked to at most 2,048 answers.
///
/// Rankings are the CPU engine's to the last bit: products only filter, with a
/// bound on their error, and what may belong to an answer is scored by
/// formula.h's exact_score. Offsets err by up to 1e-6 / beta and the product's
/// error: about 1e-7 |b||g| in fp32; in fp16 (the automatic choice for a
/// unit-norm bank) up to 1e-3 |b||g|.
std::unique_ptr<Engine> make_engine_cuda(
    int device = 0, Precision precision = Precision::automatic,
    const CudaTiles& tiles = {});

}  // namespace faiss_qbnorm
