#pragma once

#include <optional>
#include <string>
#include <vector>

#include "faiss_qbnorm/cli/bank_options.h"
#include "faiss_qbnorm/cli/common.h"
#include "faiss_qbnorm/tune/choose_beta.h"

namespace faiss_qbnorm::cli {

/// What `qbnorm eval` is asked.
struct EvalOptions {
    VectorOptions vectors;
    std::string gallery;
    std::string queries;
    std::string querybank;
    std::string gallerybank;

    std::string similarities;
    std::string querybank_similarities;
    std::string gallerybank_similarities;

    std::string groundtruth;
    std::string query_mask;
    std::string direction = "t2v";

    std::vector<std::string> methods{"none", "is", "dis"};
    Hyperparameters hyperparameters;

    std::string index;
    std::string index_parameters;
    std::optional<float> k_factor;

    std::string plot;
    idx_t hubs = 0;

    void add_to(CLI::App& command);

    /// Throws a CLI::ParseError where an option is missing that the direction
    /// or a method needs.
    void check() const;

    bool from_matrices() const { return !similarities.empty(); }
    /// Whether the gallery's items ask for the queries.
    bool is_v2t() const { return direction == "v2t"; }
    /// Whether something is to be chosen without labels.
    bool is_auto() const;
    /// Of the methods; `choice` is for those that leave something to choose.
    std::vector<Normalization> normalizations(
        const BetaChoice& choice = {}) const;
    /// All input files.
    std::vector<std::string> inputs() const;
    /// These and the plot.
    std::vector<std::string> files() const;

  private:
    void add_vectors_to(CLI::App& command);
    void add_matrices_to(CLI::App& command);
    void require_given(const std::string& value, const char* option) const;
};

}  // namespace faiss_qbnorm::cli
