#pragma once

#include <faiss/Index.h>

#include <memory>

#include "faiss_qbnorm/engine.h"

namespace faiss_qbnorm {

/// faiss::index_factory for strings that end in ",QBNorm": the index that comes
/// before it, wrapped in an IndexQBNorm that owns it ("IVF1024,Flat,QBNorm").
/// Of an ID map the inside is wrapped ("IDMap2,IVF1024,Flat,QBNorm"). Any other
/// string is FAISS's. The caller owns the result and gives it a querybank,
/// before or after training. Errors are faiss::FaissException.
faiss::Index* qbnorm_index_factory(
    int d, const char* description, faiss::MetricType metric = faiss::METRIC_L2,
    std::shared_ptr<const Engine> engine = nullptr);

}  // namespace faiss_qbnorm
