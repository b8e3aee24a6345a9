#include "faiss_qbnorm/cli/bank_options.h"

#include "faiss_qbnorm/cli/common.h"
#include "faiss_qbnorm/cli/validators.h"

namespace faiss_qbnorm::cli {

void Hyperparameters::add_to(CLI::App& command, bool may_choose) {
    std::string what =
        "Inverse temperature of is, dis, dualis, dualdis (default 20) and dbsn "
        "(100)";
    if (may_choose) what += "; auto chooses it for is and dis (qbnorm tune)";
    command
        .add_option_function<std::string>(
            "--beta",
            [this](const std::string& text) {
                auto_beta = text == "auto";
                if (!auto_beta) beta = std::stof(text);
            },
            what)
        ->check(may_choose ? beta_or_auto : beta_range);
    command
        .add_option("--beta2", beta2,
                    "That of the gallerybank, of dualis and dualdis (default "
                    "3)")
        ->check(beta_range);
    command
        .add_option("--activation-k", activation_k,
                    "Activation set of dis and dualdis: each bank query's top "
                    "this many (default 1)")
        ->check(k_range);
    command
        .add_option("--neighbours", neighbours,
                    "Bank queries in an item's mean, of csls (default 10) and "
                    "nnn (128)")
        ->check(k_range);
    command
        .add_option("--alpha", alpha,
                    "Weight of that mean, of nnn (default "
                    "0.75)")
        ->check(alpha_range);
    command
        .add_option("--iterations", iterations,
                    "Of Sinkhorn's, of dbsn (default 10)")
        ->check(CLI::Range(1, max_iterations));
}

Normalization Hyperparameters::of(Method method) const {
    Normalization result(method);
    result.beta = beta.value_or(result.beta);
    result.beta2 = beta2.value_or(result.beta2);
    result.activation_k = activation_k.value_or(result.activation_k);
    result.neighbours = neighbours.value_or(result.neighbours);
    result.alpha = alpha.value_or(result.alpha);
    result.iterations = iterations.value_or(result.iterations);
    return result;
}

void BankOptions::add_to(CLI::App& command, bool may_choose) {
    command.add_option("--querybank", querybank, "Past queries")->required();
    command.add_option("--gallerybank", gallerybank,
                       "Other items of the gallery's kind, which dualis and "
                       "dualdis need and dbsn takes");
    std::vector<std::string> methods{"is",   "dis",  "csls",   "nnn",
                                     "cent", "dbsn", "dualis", "dualdis"};
    std::string what = "is, dis, csls, nnn, cent, dbsn, dualis or dualdis";
    if (may_choose) {
        methods.emplace_back("auto");
        what += "; auto chooses none, is or dis, and beta (qbnorm tune)";
    }
    const auto has_table = [](const std::string& name) -> std::string {
        return name == "gc" ? "gc has no table to write: it ranks by the bank "
                              "itself; use qbnorm search --querybank, or eval"
                            : "";
    };
    command.add_option("--method", method, what)
        ->check(has_table)
        ->check(CLI::IsMember(methods))
        ->required();
    hyperparameters.add_to(command, may_choose);
}

BankMatrices::BankMatrices(const BankOptions& options, bool normalize)
    : querybank(VectorFile(options.querybank, normalize).read()) {
    if (!options.gallerybank.empty()) {
        gallerybank = VectorFile(options.gallerybank, normalize).read();
    }
}

void require_same_d(const BankOptions& options, const BankMatrices& banks,
                    const std::string& file, int d) {
    require_same_d(options.querybank, banks.querybank.d, file, d);
    if (banks.gallerybank.rows == 0) return;
    require_same_d(options.gallerybank, banks.gallerybank.d, file, d);
}

}  // namespace faiss_qbnorm::cli
