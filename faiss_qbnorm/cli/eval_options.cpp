#include "faiss_qbnorm/cli/eval_options.h"

#include <algorithm>

#include "faiss_qbnorm/cli/validators.h"

namespace faiss_qbnorm::cli {

namespace {

std::vector<std::string> method_names() {
    std::vector<std::string> names;
    for (const Method method : all_methods()) names.push_back(name_of(method));
    return names;
}

std::string joined(const std::vector<std::string>& names) {
    std::string result;
    for (const std::string& name : names) {
        result += (result.empty() ? "" : ",") + name;
    }
    return result;
}

}  // namespace

void EvalOptions::add_to(CLI::App& command) {
    command
        .add_option("--direction", direction,
                    "t2v: the queries ask for items. v2t: the items ask for "
                    "the queries, all that they answer being right; "
                    "--gallerybank is then the bank (and --querybank the "
                    "second bank of the dual methods)")
        ->check(CLI::IsMember({"t2v", "v2t"}))
        ->capture_default_str();
    add_vectors_to(command);
    add_matrices_to(command);
    command.add_option(
        "--groundtruth", groundtruth,
        "The right items of each query: a label, or several padded with -1 "
        "(default: item i for query i; where each item has several queries, "
        "the first ones are item 0's, and so on)");
    command.add_option("--query-mask", query_mask,
                       "A number for each query: 0 leaves it out");
    std::vector<std::string> known = method_names();
    known.emplace_back("auto");
    command
        .add_option("--methods", methods,
                    "Any of " + joined(known) +
                        "; auto is what qbnorm tune chooses by the queries "
                        "without their ground truth")
        ->delimiter(',')
        ->check(CLI::IsMember(known))
        ->default_str(joined(methods));
    hyperparameters.add_to(command, true);
    command.add_option("--plot", plot,
                       "Draw how often items are among the top 10, under each "
                       "method (.svg)");
    command
        .add_option("--hubs", hubs,
                    "Print, and report, this many hubs of each method and the "
                    "bank queries whose first item they are (--json alone: 10)")
        ->check(CLI::Range(idx_t{1}, idx_t{1} << 20));
}

void EvalOptions::add_vectors_to(CLI::App& command) {
    vectors.add_to(command);
    auto* source = command.add_option_group("source");
    auto* items = source->add_option("--gallery", gallery, "Vectors to search");
    auto* matrix = source->add_option(
        "--similarities", similarities,
        "In place of vectors, their similarities: queries x items, higher is "
        "better. With v2t: items x queries");
    source->require_option(1);
    auto* asked = command.add_option("--queries", queries, "Queries")
                      ->needs(items)
                      ->excludes(matrix);
    items->needs(asked);
    command.add_option("--querybank", querybank, "Past queries")->needs(items);
    command
        .add_option("--gallerybank", gallerybank,
                    "Other items of the gallery's kind, which dualis and "
                    "dualdis need and dbsn takes")
        ->needs(items);
    auto* file =
        command
            .add_option("--index", index,
                        "FAISS index of the gallery: measures what it answers, "
                        "too, asked for 50 items. A right item that is not "
                        "among them is a miss of unknown rank")
            ->needs(items);
    command
        .add_option("--index-params", index_parameters,
                    "FAISS's words: nprobe=32,efSearch=64")
        ->needs(file);
    command
        .add_option("--k-factor", k_factor,
                    "Candidates per answer, for indexes that are not scanned "
                    "(default 10)")
        ->check(k_factor_range)
        ->needs(file);
}

void EvalOptions::add_matrices_to(CLI::App& command) {
    auto* matrix = command.get_option("--similarities");
    for (const char* of_vectors : {"--metric", "--normalize"}) {
        matrix->excludes(command.get_option(of_vectors));
    }
    auto* bank =
        command
            .add_option("--querybank-similarities", querybank_similarities,
                        "Past queries x items. With v2t: bank items x "
                        "queries")
            ->needs(matrix);
    matrix->needs(bank);
    command
        .add_option("--gallerybank-similarities", gallerybank_similarities,
                    "Bank items x items, for dualis and dualdis (dbsn "
                    "learns from the gallery alone). With v2t: past queries x "
                    "queries")
        ->needs(matrix);
}

void EvalOptions::require_given(const std::string& value,
                                const char* option) const {
    if (value.empty()) throw CLI::RequiredError(option);
}

void EvalOptions::check() const {
    const std::vector<Normalization> asked = normalizations();
    const bool dual =
        std::any_of(asked.begin(), asked.end(),
                    [](const Normalization& n) { return is_dual(n.method); });
    if (from_matrices()) {
        if (dual) {
            require_given(gallerybank_similarities,
                          "For the dual methods --gallerybank-similarities");
        }
        return;
    }
    if (is_v2t()) {
        require_given(gallerybank, "For v2t --gallerybank");
        if (dual) require_given(querybank, "For the dual methods --querybank");
    } else {
        require_given(querybank, "--querybank");
        if (dual) {
            require_given(gallerybank, "For the dual methods --gallerybank");
        }
    }
    if (!index.empty() && is_v2t()) {
        throw CLI::ValidationError(
            "--index", "is of the gallery, which v2t does not search");
    }
    const bool gc = std::any_of(
        asked.begin(), asked.end(),
        [](const Normalization& n) { return n.method == Method::gc; });
    if (!index.empty() && gc) {
        throw CLI::ValidationError(
            "--index", "takes no gc, which needs the bank at every search");
    }
}

bool EvalOptions::is_auto() const {
    return hyperparameters.auto_beta ||
           std::find(methods.begin(), methods.end(), "auto") != methods.end();
}

std::vector<Normalization> EvalOptions::normalizations(
    const BetaChoice& choice) const {
    std::vector<Normalization> result;
    for (const std::string& name : methods) {
        const bool chosen = name == "auto";
        const Method method = chosen ? choice.method : method_from_name(name);
        const bool has_beta = method == Method::is || method == Method::dis;
        Normalization& asked = result.emplace_back(hyperparameters.of(method));
        if (chosen || (hyperparameters.auto_beta && has_beta)) {
            asked.beta = choice.beta;
        }
    }
    return result;
}

std::vector<std::string> EvalOptions::files() const {
    std::vector<std::string> result = inputs();
    result.push_back(plot);
    return result;
}

std::vector<std::string> EvalOptions::inputs() const {
    return {gallery,
            queries,
            querybank,
            gallerybank,
            similarities,
            querybank_similarities,
            gallerybank_similarities,
            groundtruth,
            query_mask,
            index};
}

}  // namespace faiss_qbnorm::cli
