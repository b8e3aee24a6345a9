#pragma once

#include <functional>
#include <span>

#include "faiss_qbnorm/engine.h"
#include "faiss_qbnorm/eval/metrics.h"
#include "faiss_qbnorm/gallery.h"

namespace faiss_qbnorm {

struct MethodReport {
    Method method = Method::none;
    RetrievalMetrics retrieval;
    double skewness = 0;         ///< of the 10-occurrence
    idx_t max_k_occurrence = 0;  ///< the largest 10-occurrence
    double gate_open = 0;        ///< share of the queries ranked by s - offset
};

/// Ranks the whole gallery for every query, in one pass for all the methods.
/// `groundtruth[i]` is the right item of query i. The table is of this gallery.
std::vector<MethodReport> evaluate(
    const Engine& engine, const Gallery& gallery, const NormTable& table,
    std::span<const Method> methods, const MatrixView& queries,
    std::span<const idx_t> groundtruth,
    const std::function<void(idx_t)>& progress = {});

}  // namespace faiss_qbnorm
