#include "faiss_qbnorm/cli/bank_options.h"

#include "faiss_qbnorm/cli/common.h"
#include "faiss_qbnorm/cli/validators.h"

namespace faiss_qbnorm::cli {

void Hyperparameters::add_to(CLI::App& command) {
    command
        .add_option("--beta", beta,
                    "Inverse temperature of is, dis, dualis, dualdis (default "
                    "20) and dbsn (100)")
        ->check(beta_range);
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
        ->check(CLI::Range(0.0F, max_alpha));
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

void BankOptions::add_to(CLI::App& command) {
    command.add_option("--querybank", querybank, "Past queries")->required();
    command.add_option("--gallerybank", gallerybank,
                       "Other items of the gallery's kind, which dualis and "
                       "dualdis need and dbsn and cent take");
    command
        .add_option("--method", method,
                    "is, dis, csls, nnn, cent, dbsn, dualis or dualdis")
        ->check(CLI::IsMember(
            {"is", "dis", "csls", "nnn", "cent", "dbsn", "dualis", "dualdis"}))
        ->required();
    hyperparameters.add_to(command);
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
