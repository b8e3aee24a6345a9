#include <cstdio>
#include <numeric>

#include "faiss_qbnorm/cli/bank_options.h"
#include "faiss_qbnorm/cli/common.h"
#include "faiss_qbnorm/cli/validators.h"
#include "faiss_qbnorm/eval/evaluate.h"
#include "faiss_qbnorm/fit.h"
#include "faiss_qbnorm/io/vector_file.h"

namespace faiss_qbnorm::cli {

namespace {

void print(const std::vector<MethodReport>& reports) {
    std::printf("%-6s %6s %6s %6s %6s %7s %8s %6s %9s %7s %9s\n", "method",
                "R@1", "R@5", "R@10", "R@50", "MdR", "MnR", "gm", "skewness",
                "max occ", "gate open");
    for (const MethodReport& report : reports) {
        const RetrievalMetrics& r = report.retrieval;
        std::printf(
            "%-6s %6.1f %6.1f %6.1f %6.1f %7.1f %8.1f %6.1f %9.2f %7lld %7.1f "
            "%%\n",
            name_of(report.method).c_str(), r.recall_1, r.recall_5, r.recall_10,
            r.recall_50, r.median_rank, r.mean_rank, r.geometric_mean,
            report.skewness, static_cast<long long>(report.max_k_occurrence),
            100 * report.gate_open);
    }
}

nlohmann::ordered_json to_json(const MethodReport& report) {
    const RetrievalMetrics& r = report.retrieval;
    return {{"name", name_of(report.method)},
            {"R@1", r.recall_1},
            {"R@5", r.recall_5},
            {"R@10", r.recall_10},
            {"R@50", r.recall_50},
            {"MdR", r.median_rank},
            {"MnR", r.mean_rank},
            {"geometric_mean", r.geometric_mean},
            {"skewness", report.skewness},
            {"max_k_occurrence", report.max_k_occurrence},
            {"gate_open", report.gate_open}};
}

struct Eval {
    Common common;
    VectorOptions vectors;
    std::string gallery;
    std::string queries;
    std::string groundtruth;
    std::string querybank;
    std::vector<std::string> methods{"none", "is", "dis"};
    Hyperparameters hyperparameters;

    explicit Eval(CLI::App& command) : common(command) {
        vectors.add_to(command);
        command.add_option("--gallery", gallery, "Vectors to search")
            ->required();
        command.add_option("--queries", queries, "Queries")->required();
        command.add_option("--groundtruth", groundtruth,
                           "The right item of each query (default: item i for "
                           "query i)");
        command.add_option("--querybank", querybank, "Past queries")
            ->required();
        command.add_option("--methods", methods, "Any of none,is,dis")
            ->delimiter(',')
            ->check(CLI::IsMember({"none", "is", "dis"}));
        hyperparameters.add_to(command);
    }

    void run() {
        const auto engine = common.start();
        const VectorFile items(gallery, vectors.normalize);
        Matrix asked;
        Matrix bank;
        common.timed("read", [&] {
            asked = VectorFile(queries, vectors.normalize).read();
            bank = VectorFile(querybank, vectors.normalize).read();
        });
        require_same_d(queries, asked.d, gallery, items.d());
        require_same_d(querybank, bank.d, gallery, items.d());
        const std::vector<idx_t> truth = read_groundtruth(items, asked.rows);
        FitOptions options;
        options.normalization = hyperparameters.of(Method::dis);
        options.metric = metric_from_name(vectors.metric);
        options.progress = progress_bar("fit", items.size());
        const NormTable table = common.timed(
            "fit", [&] { return fit(*engine, items, bank.view(), options); });
        std::vector<Method> chosen;
        for (const std::string& name : methods) {
            chosen.push_back(method_from_name(name));
        }
        const auto reports = common.timed("search", [&] {
            return evaluate(*engine, items, table, chosen, asked.view(), truth,
                            progress_bar("search", asked.rows));
        });
        print(reports);
        for (const MethodReport& report : reports) {
            common.report["methods"].push_back(to_json(report));
        }
        common.finish();
    }

    std::vector<idx_t> read_groundtruth(const VectorFile& items,
                                        idx_t nq) const {
        if (groundtruth.empty()) {
            require(nq <= items.size(), queries, " has ", nq, " rows but ",
                    gallery, " only ", items.size(),
                    ", so query i has no item i; give --groundtruth");
            std::vector<idx_t> truth(nq);
            std::iota(truth.begin(), truth.end(), 0);
            return truth;
        }
        const ArrayFile array = ArrayFile::open(groundtruth);
        require(array.d == 1 && array.rows == nq, groundtruth, ": is ",
                array.rows, " x ", array.d, " but there are ", nq,
                " queries; give one label per query");
        std::vector<idx_t> truth = read_labels(array);
        for (idx_t i = 0; i < nq; i++) {
            require(truth[i] >= 0 && truth[i] < items.size(), groundtruth,
                    ": row ", i, " is item ", truth[i], " but ", gallery,
                    " has items 0 to ", items.size() - 1);
        }
        return truth;
    }
};

}  // namespace

void add_eval(CLI::App& app) {
    add_command<Eval>(app, "eval", "Measure recall and hubness of each method");
}

}  // namespace faiss_qbnorm::cli
