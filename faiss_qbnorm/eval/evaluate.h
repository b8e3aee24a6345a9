#pragma once

#include <functional>
#include <span>
#include <vector>

#include "faiss_qbnorm/engine.h"
#include "faiss_qbnorm/eval/groundtruth.h"
#include "faiss_qbnorm/eval/hubness.h"
#include "faiss_qbnorm/eval/method_tables.h"
#include "faiss_qbnorm/eval/metrics.h"
#include "faiss_qbnorm/fit.h"
#include "faiss_qbnorm/similarities/similarities.h"

namespace faiss_qbnorm {

/// What ranking all queries by one method comes to.
struct MethodReport {
    Method method = Method::none;
    RetrievalMetrics retrieval;
    Hubness hubness;       ///< of the 10-occurrence
    double gate_open = 0;  ///< share of the queries that are normalised
};

/// The k of the k-occurrence that reports hold.
inline constexpr idx_t occurrence_k = 10;

/// Ranks the whole gallery for every query under methods that take an offset
/// (or none), in one pass for those that share it. The table is of this
/// gallery and serves every method. Throws where it does not, where dimensions
/// or labels disagree, and on NaN or Inf.
std::vector<MethodReport> evaluate(
    const Engine& engine, const Gallery& gallery, const NormTable& table,
    std::span<const Method> methods, const MatrixView& queries,
    const GroundTruth& truth, const std::function<void(idx_t)>& progress = {});

/// The same under any methods, in their order, with tables that fit_methods
/// made with these banks.
std::vector<MethodReport> evaluate(
    const Engine& engine, const Gallery& gallery, const Banks& banks,
    const MethodTables& tables, const MatrixView& queries,
    const GroundTruth& truth, const std::function<void(idx_t)>& progress = {});

/// The same from similarities: of the queries and, for gc, of the querybank
/// with every item.
std::vector<MethodReport> evaluate(const Similarities& queries,
                                   const Similarities& querybank,
                                   const MethodTables& tables,
                                   const GroundTruth& truth);

}  // namespace faiss_qbnorm
