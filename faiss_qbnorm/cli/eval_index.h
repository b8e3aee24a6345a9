#pragma once

#include <faiss/Index.h>

#include <memory>
#include <vector>

#include "faiss_qbnorm/cli/eval_inputs.h"
#include "faiss_qbnorm/eval/evaluate.h"

namespace faiss_qbnorm::cli {

/// What an index answers under one method.
struct IndexReport {
    MethodReport report;
    double candidates = 0;  ///< items that were ranked for a query, on average
};

/// The index of options.index with its parameters. Throws where it is not one
/// of the gallery, before any work.
std::unique_ptr<faiss::Index> open_index(
    const std::shared_ptr<const Engine>& engine, const EvalOptions& options,
    const VectorInputs& inputs);

/// The measures of evaluate through an IndexQBNorm around `base`, asked for 50
/// answers: the rank of a right item that is not among them is infinite.
std::vector<IndexReport> evaluate_index(
    faiss::Index& base, const std::shared_ptr<const Engine>& engine,
    const EvalOptions& options, const MethodTables& tables,
    const VectorInputs& inputs);

}  // namespace faiss_qbnorm::cli
