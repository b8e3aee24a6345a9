#include <cstdio>
#include <optional>
#include <tuple>

#include "faiss_qbnorm/cli/common.h"
#include "faiss_qbnorm/cli/scored_rows.h"
#include "faiss_qbnorm/cli/validators.h"
#include "faiss_qbnorm/tune/choose_beta.h"
#include "faiss_qbnorm/tune/sweep.h"

namespace faiss_qbnorm::cli {

namespace {

/// The parameters that a method has.
nlohmann::ordered_json parameters(const Normalization& n) {
    nlohmann::ordered_json report;
    switch (n.method) {
        case Method::is:
        case Method::dbsn:
            report["beta"] = n.beta;
            break;
        case Method::dualis:
            report = {{"beta", n.beta}, {"beta2", n.beta2}};
            break;
        case Method::dis:
            report = {{"beta", n.beta}, {"activation_k", n.activation_k}};
            break;
        case Method::dualdis:
            report = {{"beta", n.beta},
                      {"beta2", n.beta2},
                      {"activation_k", n.activation_k}};
            break;
        case Method::csls:
            report["neighbours"] = n.neighbours;
            break;
        case Method::nnn:
            report = {{"neighbours", n.neighbours}, {"alpha", n.alpha}};
            break;
        default:
            report = nlohmann::ordered_json::object();
    }
    return report;
}

struct Tune {
    Common common;
    VectorOptions vectors;
    std::string gallery;
    std::string querybank;
    std::string gallerybank;
    std::string queries;
    std::string groundtruth;
    std::string method = "auto";
    Normalization fixed;

    explicit Tune(CLI::App& command) : common(command) {
        vectors.add_to(command);
        command.add_option("--gallery", gallery, "Vectors to search")
            ->required();
        command.add_option("--querybank", querybank, "Past queries")
            ->required();
        command.add_option("--gallerybank", gallerybank,
                           "Other items of the gallery's kind, for dualis and "
                           "dualdis");
        CLI::Option* asked = command.add_option(
            "--queries", queries,
            "Live queries that the bank does not hold, a thousand if there are "
            "(default: rows of the bank are held out)");
        command
            .add_option("--groundtruth", groundtruth,
                        "The right items of each query, for a sweep by recall "
                        "(default: beta by how evenly answers are spread, "
                        "which needs no labels)")
            ->needs(asked);
        command
            .add_option("--method", method,
                        "auto, is, dis; with ground truth also csls, nnn, "
                        "dbsn, dualis, dualdis")
            ->check(CLI::IsMember({"auto", "is", "dis", "csls", "nnn", "dbsn",
                                   "dualis", "dualdis"}))
            ->capture_default_str();
        command
            .add_option("--activation-k", fixed.activation_k,
                        "Activation set: each bank query's top this many")
            ->check(k_range)
            ->capture_default_str();
        command
            .add_option("--beta2", fixed.beta2,
                        "Inverse temperature of the gallerybank")
            ->check(beta_range)
            ->capture_default_str();
    }

    void run() {
        const auto engine = common.start(
            {gallery, querybank, gallerybank, queries, groundtruth});
        check_options();
        const VectorFile items(gallery, vectors.normalize);
        const auto [bank, second, live] = common.timed("read", [&] {
            return std::tuple(ScoredRows::optional(querybank, vectors, items),
                              ScoredRows::optional(gallerybank, vectors, items),
                              ScoredRows::optional(queries, vectors, items));
        });
        if (groundtruth.empty()) {
            choose(bank->similarities, ScoredRows::of(live));
        } else {
            sweep_labelled(bank->similarities, ScoredRows::of(second),
                           live->similarities);
        }
        common.finish();
    }

    void check_options() const {
        require(!groundtruth.empty() || method == "auto" || method == "is" ||
                    method == "dis",
                "without ground truth beta is chosen for is and dis only, not "
                "for ",
                method, "; give --groundtruth");
        require(
            (method != "dualis" && method != "dualdis") || !gallerybank.empty(),
            "method ", method, " needs a gallerybank; give --gallerybank");
    }

    void choose(const Similarities& bank, const Similarities* live) {
        std::optional<Method> given;
        if (method != "auto") given = method_from_name(method);
        const BetaChoice choice = common.timed("tune", [&] {
            return choose_beta(bank, live, given, fixed.activation_k);
        });
        Normalization chosen = fixed;
        chosen.method = choice.method;
        chosen.beta = choice.beta;
        auto& report = common.report;
        report["method"] = name_of(chosen.method);
        report.update(parameters(chosen));
        report["curve"] = nlohmann::ordered_json::array();
        if (!choice.curve.empty()) std::printf("%10s %9s\n", "beta", "entropy");
        for (const BetaPoint& point : choice.curve) {
            std::printf("%10.4g %9.4f\n", point.beta, point.entropy);
            report["curve"].push_back(
                {{"beta", point.beta}, {"entropy", point.entropy}});
        }
        report["sigma"] = choice.sigma;
        report["queries"] = choice.queries;
        report["held_out"] = choice.held_out;
        report["confidence"] = choice.confidence;
        report["warning"] = choice.warning;
        if (!choice.curve.empty()) {
            report["entropy"] = {{"none", choice.entropy_raw},
                                 {"is", choice.entropy_is},
                                 {"dis", choice.entropy_dis}};
            std::printf(
                "entropy of %lld queries' answers: raw %.4f, is %.4f, dis "
                "%.4f\n",
                static_cast<long long>(choice.queries), choice.entropy_raw,
                choice.entropy_is, choice.entropy_dis);
        }
        std::printf(
            "chosen: %s; %.0f %% of random halves of the queries "
            "support it\n",
            to_string(chosen).c_str(), 100 * choice.confidence);
        if (!choice.warning.empty()) {
            std::printf("take care: %s\n", choice.warning.c_str());
        }
    }

    void sweep_labelled(const Similarities& bank, const Similarities* second,
                        const Similarities& live) {
        const ArrayFile array = ArrayFile::open(groundtruth);
        require(array.rows == live.rows(), groundtruth, ": has ", array.rows,
                " rows but there are ", live.rows(),
                " queries; give each its right items");
        const std::vector<idx_t> truth = read_labels(array);
        const SweepData data{bank, second, live, {truth, array.d}};
        const SweepResult result = common.timed("tune", [&] {
            return naming(groundtruth, [&] {
                if (method == "auto") return sweep_methods(data);
                Normalization start(method_from_name(method));
                start.activation_k = fixed.activation_k;
                start.beta2 = fixed.beta2;
                return sweep(data, start);
            });
        });
        auto& report = common.report;
        report["method"] = name_of(result.best.normalization.method);
        report.update(parameters(result.best.normalization));
        report["queries"] = live.rows();
        std::printf("%6s %6s %6s %6s  method\n", "R@1", "R@5", "R@10", "gm");
        for (const SweepPoint& point : result.curve) {
            print(point);
            nlohmann::ordered_json entry{
                {"method", name_of(point.normalization.method)}};
            entry.update(parameters(point.normalization));
            entry["R@1"] = point.retrieval.recall_1;
            entry["R@5"] = point.retrieval.recall_5;
            entry["R@10"] = point.retrieval.recall_10;
            entry["geometric_mean"] = point.retrieval.geometric_mean;
            report["curve"].push_back(std::move(entry));
        }
        std::printf("chosen:\n");
        print(result.best);
    }

    static void print(const SweepPoint& point) {
        const RetrievalMetrics& r = point.retrieval;
        std::printf("%6.1f %6.1f %6.1f %6.1f  %s\n", r.recall_1, r.recall_5,
                    r.recall_10, r.geometric_mean,
                    to_string(point.normalization).c_str());
    }
};

}  // namespace

void add_tune(CLI::App& app) {
    add_command<Tune>(app, "tune",
                      "Choose beta and method, with or without ground truth");
}

}  // namespace faiss_qbnorm::cli
