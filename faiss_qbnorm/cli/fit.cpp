#include "faiss_qbnorm/fit.h"

#include <cstdio>

#include "faiss_qbnorm/cli/auto_choice.h"
#include "faiss_qbnorm/cli/bank_options.h"
#include "faiss_qbnorm/cli/common.h"
#include "faiss_qbnorm/cli/scored_rows.h"
#include "faiss_qbnorm/cli/table_report.h"
#include "faiss_qbnorm/cli/validators.h"
#include "faiss_qbnorm/io/table_file.h"
#include "faiss_qbnorm/io/vector_file.h"

namespace faiss_qbnorm::cli {

namespace {

struct Fit {
    Common common;
    VectorOptions vectors;
    std::string gallery;
    BankOptions bank;
    std::string queries;
    std::string rows;
    std::string output;

    explicit Fit(CLI::App& command) : common(command) {
        vectors.add_to(command);
        command.add_option("--gallery", gallery, "Vectors to search")
            ->required();
        bank.add_to(command, true);
        command.add_option("--queries", queries,
                           "Unlabelled queries by which auto chooses (default: "
                           "the bank alone)");
        command
            .add_option("--rows", rows, "Fit only rows BEGIN:END, to be merged")
            ->check(is_row_range);
        command.add_option("-o,--output", output, "Table to write (.qbn)")
            ->required();
    }

    void run() {
        const auto engine = common.start(
            {gallery, bank.querybank, bank.gallerybank, queries, output});
        require_writable(output,
                         {gallery, bank.querybank, bank.gallerybank, queries});
        FitOptions options;
        options.metric = metric_from_name(vectors.metric);

        const VectorFile items(gallery, vectors.normalize);
        if (!rows.empty()) {
            const size_t colon = rows.find(':');
            options.begin = std::stoll(rows.substr(0, colon));
            options.end = std::stoll(rows.substr(colon + 1));
        }
        const BankMatrices matrices = common.timed(
            "read", [&] { return BankMatrices(bank, vectors.normalize); });
        require_same_d(bank, matrices, gallery, items.d());
        options.normalization = normalization(items, matrices);
        const NormTable table = common.timed("fit", [&] {
            const idx_t end = options.end < 0 ? items.size() : options.end;
            options.progress = progress_bar("fit", end - options.begin);
            return fit(*engine, items, matrices.banks(), options);
        });
        common.timed("write", [&] { write_table(table, output); });
        describe(table, common.report);
        std::printf("%s: %s\n", output.c_str(), describe(table).c_str());
        common.finish();
    }

    Normalization normalization(const VectorFile& items,
                                const BankMatrices& matrices) {
        if (!is_auto(bank)) return bank.normalization();
        const Metric metric = metric_from_name(vectors.metric);
        const VectorSimilarities of_bank(
            metric, items, matrices.querybank.view(), bank.querybank);
        const auto live = ScoredRows::optional(queries, vectors, items);
        return chosen(bank, of_bank, ScoredRows::of(live), common);
    }
};

}  // namespace

void add_fit(CLI::App& app) {
    add_command<Fit>(app, "fit",
                     "Probe a gallery with a querybank and write its table");
}

}  // namespace faiss_qbnorm::cli
