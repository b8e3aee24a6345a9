#pragma once

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

/// The measures of evaluate through an IndexQBNorm around options.index, asked
/// for 50 answers: the rank of a right item that is not among them is infinite.
/// Throws where the index is not of the gallery.
std::vector<IndexReport> evaluate_index(
    const std::shared_ptr<const Engine>& engine, const EvalOptions& options,
    const MethodTables& tables, const VectorInputs& inputs);

}  // namespace faiss_qbnorm::cli
