#include <cstdio>

#include "faiss_qbnorm/cli/auto_choice.h"
#include "faiss_qbnorm/cli/eval_index.h"
#include "faiss_qbnorm/cli/eval_inputs.h"
#include "faiss_qbnorm/cli/eval_options.h"
#include "faiss_qbnorm/cli/eval_report.h"
#include "faiss_qbnorm/fit/similarity_column.h"
#include "faiss_qbnorm/similarities/vector_similarities.h"

namespace faiss_qbnorm::cli {

namespace {

struct Eval {
    Common common;
    EvalOptions options;

    explicit Eval(CLI::App& command) : common(command) {
        options.add_to(command);
    }

    void run() {
        options.check();
        const std::shared_ptr<const Engine> engine =
            common.start(options.files());
        if (!options.plot.empty()) {
            require_writable(options.plot, options.inputs());
        }
        if (options.from_matrices()) {
            evaluate_matrices();
        } else {
            evaluate_vectors(engine);
        }
        common.finish();
    }

    void evaluate_vectors(const std::shared_ptr<const Engine>& engine) {
        const VectorInputs inputs =
            common.timed("read", [&] { return VectorInputs(options); });
        std::unique_ptr<faiss::Index> base;
        if (!options.index.empty()) base = open_index(engine, options, inputs);
        describe(inputs.queries.rows, inputs.gallery->size(),
                 inputs.querybank.rows, inputs.truth);
        const BetaChoice choice = choose_by(inputs);
        const auto asked = options.normalizations(choice);
        const MethodTables tables = common.timed("fit", [&] {
            return fit_methods(asked, [&](const Normalization& one) {
                FitOptions fitted;
                fitted.normalization = one;
                fitted.metric = metric_from_name(options.vectors.metric);
                fitted.progress = progress_bar("fit", inputs.gallery->size());
                return fit(*engine, *inputs.gallery, inputs.banks(), fitted);
            });
        });
        const auto reports = common.timed("search", [&] {
            return evaluate(*engine, *inputs.gallery, inputs.banks(), tables,
                            inputs.queries.view(), inputs.truth,
                            progress_bar("search", inputs.queries.rows));
        });
        report(reports, asked, tables, inputs.names);
        if (!base) return;
        const auto through = common.timed("index", [&] {
            return evaluate_index(*base, engine, options, tables, inputs);
        });
        report_index(through);
    }

    void evaluate_matrices() {
        const MatrixInputs inputs =
            common.timed("read", [&] { return MatrixInputs(options); });
        describe(inputs.queries->rows(), inputs.queries->items(),
                 inputs.querybank->rows(), inputs.truth);
        const BetaChoice choice = choose_by(*inputs.querybank, *inputs.queries);
        const auto asked = options.normalizations(choice);
        const MethodTables tables = common.timed("fit", [&] {
            return fit_methods(asked, [&](const Normalization& one) {
                return fit_similarities(*inputs.querybank,
                                        inputs.gallerybank.get(), one);
            });
        });
        const auto reports = common.timed("search", [&] {
            return evaluate(*inputs.queries, *inputs.querybank, tables,
                            inputs.truth);
        });
        report(reports, asked, tables, inputs.names);
    }

    // What is measured; askers without a right item count as misses, as in the
    // published metric code, but not in silence.
    void describe(idx_t queries, idx_t items, idx_t bank,
                  const GroundTruth& truth) {
        idx_t unanswerable = 0;
        for (idx_t i = 0; i < queries; i++) {
            unanswerable += has_answer(truth.row(i)) ? 0 : 1;
        }
        common.report["direction"] = options.direction;
        common.report["queries"] = queries;
        common.report["items"] = items;
        common.report["bank"] = bank;
        common.report["without_right_item"] = unanswerable;
        if (unanswerable == 0) return;
        std::printf(
            "%lld of %lld queries have no right item: they count as "
            "misses\n",
            static_cast<long long>(unanswerable),
            static_cast<long long>(queries));
    }

    BetaChoice choose_by(const VectorInputs& inputs) {
        if (!options.is_auto()) return {};
        const Metric metric = metric_from_name(options.vectors.metric);
        const VectorSimilarities bank(metric, *inputs.gallery,
                                      inputs.querybank.view(), "querybank");
        const VectorSimilarities live(metric, *inputs.gallery,
                                      inputs.queries.view(), "queries");
        return choose_by(bank, live);
    }

    BetaChoice choose_by(const Similarities& bank, const Similarities& live) {
        if (!options.is_auto()) return {};
        const idx_t activation_k =
            options.hyperparameters.of(Method::dis).activation_k;
        return choose(bank, &live, {}, activation_k, common);
    }

    void report(const std::vector<MethodReport>& reports,
                const std::vector<Normalization>& asked,
                const MethodTables& tables, const std::vector<idx_t>& names) {
        constexpr idx_t hubs_unasked = 10;
        const HubReport hubs{options.hubs > 0 ? options.hubs : hubs_unasked,
                             tables.bank_first(), names};
        print(reports);
        if (options.hubs > 0) hubs.print(reports);
        for (size_t i = 0; i < reports.size(); i++) {
            auto json = to_json(reports[i]);
            json["normalization"] = to_string(asked[i]);
            json["hubs"] = hubs.to_json(reports[i]);
            common.report["methods"].push_back(std::move(json));
        }
        if (!options.plot.empty()) plot(reports, options.plot);
    }

    void report_index(const std::vector<IndexReport>& through) {
        std::printf("\nthrough %s:\n", options.index.c_str());
        std::vector<MethodReport> reports;
        for (const IndexReport& one : through) {
            reports.push_back(one.report);
            auto json = to_json(one.report);
            json["candidates"] = one.candidates;
            common.report["index"]["methods"].push_back(std::move(json));
        }
        print(reports);
    }
};

}  // namespace

void add_eval(CLI::App& app) {
    add_command<Eval>(app, "eval", "Measure recall and hubness of each method");
}

}  // namespace faiss_qbnorm::cli
