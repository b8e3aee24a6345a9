#pragma once

#include "faiss_qbnorm/cli/bank_options.h"
#include "faiss_qbnorm/cli/common.h"
#include "faiss_qbnorm/tune/choose_beta.h"

namespace faiss_qbnorm::cli {

/// Whether --method or --beta leaves something to choose.
bool is_auto(const BankOptions& options);

/// What they come to: chosen without labels (choose_beta) by `queries` or,
/// where that is null, by the bank alone. Says so on standard output and in the
/// report's "auto". Throws where beta cannot be chosen for the method.
Normalization chosen(const BankOptions& options, const Similarities& bank,
                     const Similarities* queries, Common& common);

}  // namespace faiss_qbnorm::cli
