#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "faiss_qbnorm/fit.h"
#include "faiss_qbnorm/io/vector_file.h"

namespace faiss_qbnorm::cli {

/// The hyperparameters of all methods; what is not given is as published.
struct Hyperparameters {
    std::optional<float> beta;
    bool auto_beta = false;  ///< --beta auto
    std::optional<float> beta2;
    std::optional<idx_t> activation_k;
    std::optional<idx_t> neighbours;
    std::optional<float> alpha;
    std::optional<int> iterations;

    /// --beta may be auto where `may_choose`.
    void add_to(CLI::App& command, bool may_choose);
    Normalization of(Method method) const;
};

/// --querybank, --gallerybank, --method and its hyperparameters, where what is
/// fitted is kept.
struct BankOptions {
    std::string querybank;
    std::string gallerybank;
    std::string method;
    Hyperparameters hyperparameters;

    /// --method and --beta may be auto where `may_choose`.
    void add_to(CLI::App& command, bool may_choose);
    Normalization normalization() const {
        return hyperparameters.of(method_from_name(method));
    }
};

/// Bank files, read.
struct BankMatrices {
    Matrix querybank;
    Matrix gallerybank;

    BankMatrices(const BankOptions& options, bool normalize);

    Banks banks() const { return {querybank.view(), gallerybank.view()}; }
};

/// Throws unless the banks are of dimension d, which `file` has.
void require_same_d(const BankOptions& options, const BankMatrices& banks,
                    const std::string& file, int d);

}  // namespace faiss_qbnorm::cli
