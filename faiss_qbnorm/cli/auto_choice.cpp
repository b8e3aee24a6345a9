#include "faiss_qbnorm/cli/auto_choice.h"

#include <cstdio>

namespace faiss_qbnorm::cli {

BetaChoice choose(const Similarities& bank, const Similarities* queries,
                  std::optional<Method> method, idx_t activation_k,
                  Common& common) {
    BetaChoice choice = common.timed("tune", [&] {
        return choose_beta(bank, queries, method, activation_k);
    });
    common.report["auto"] = {{"method", name_of(choice.method)},
                             {"beta", choice.beta},
                             {"confidence", choice.confidence},
                             {"warning", choice.warning}};
    std::printf(
        "chosen: %s, beta %g (supported by %.0f %% of random halves of "
        "%lld queries)\n",
        name_of(choice.method).c_str(), choice.beta, 100 * choice.confidence,
        static_cast<long long>(choice.queries));
    if (!choice.warning.empty()) {
        std::printf("take care: %s\n", choice.warning.c_str());
    }
    return choice;
}

bool is_auto(const BankOptions& options) {
    return options.method == "auto" || options.hyperparameters.auto_beta;
}

Normalization chosen(const BankOptions& options, const Similarities& bank,
                     const Similarities* queries, Common& common) {
    const Hyperparameters& given = options.hyperparameters;
    require(options.method != "auto" || !given.beta,
            "--method auto chooses beta, too; leave out --beta");
    std::optional<Method> method;
    if (options.method != "auto") method = method_from_name(options.method);
    require(!method || *method == Method::is || *method == Method::dis,
            "beta is chosen for is and dis only, not for ", options.method,
            "; give a number, or see qbnorm tune with ground truth");
    Normalization result = given.of(method.value_or(Method::dis));
    const BetaChoice choice =
        choose(bank, queries, method, result.activation_k, common);
    result.method = choice.method;
    result.beta = choice.beta;
    return result;
}

}  // namespace faiss_qbnorm::cli
