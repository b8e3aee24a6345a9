#pragma once

#include "faiss_qbnorm/cli/bank_options.h"
#include "faiss_qbnorm/cli/common.h"
#include "faiss_qbnorm/tune/choose_beta.h"

namespace faiss_qbnorm::cli {

/// Chooses without labels (choose_beta) by `queries` or, where that is null, by
/// the bank alone. Says so on standard output and in the report's "auto".
BetaChoice choose(const Similarities& bank, const Similarities* queries,
                  std::optional<Method> method, idx_t activation_k,
                  Common& common);

/// Whether --method or --beta leaves something to choose.
bool is_auto(const BankOptions& options);

/// What they come to by `choose`. Throws where beta cannot be chosen for the
/// method.
Normalization chosen(const BankOptions& options, const Similarities& bank,
                     const Similarities* queries, Common& common);

}  // namespace faiss_qbnorm::cli
