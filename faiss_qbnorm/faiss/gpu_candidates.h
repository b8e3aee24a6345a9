#pragma once

#include <faiss/Index.h>

#include "faiss_qbnorm/engine.h"

namespace faiss_qbnorm {

/// Where `index` is a faiss::gpu::GpuIndex on the device of `table`: searches
/// it for candidates that never leave the device, reranks them on its stream,
/// and returns true. Else, and where this build's FAISS knows no GPU, returns
/// false and has done nothing. Answers hold similarities.
bool rerank_on_its_device(const faiss::Index& index, const BoundTable& table,
                          Metric metric, Method method,
                          const MatrixView& queries, idx_t candidates, idx_t k,
                          const Answers& answers,
                          const faiss::SearchParameters* params);

}  // namespace faiss_qbnorm
