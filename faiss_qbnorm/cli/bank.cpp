#include <cstdio>

#include "faiss_qbnorm/cli/common.h"
#include "faiss_qbnorm/cli/scored_rows.h"
#include "faiss_qbnorm/cli/validators.h"
#include "faiss_qbnorm/io/npy.h"
#include "faiss_qbnorm/tune/bank_report.h"
#include "faiss_qbnorm/tune/subsample.h"

namespace faiss_qbnorm::cli {

namespace {

double percent(idx_t part, idx_t all) {
    return 100 * static_cast<double>(part) / static_cast<double>(all);
}

void print(const BankReport& report) {
    const auto number = [](idx_t n) { return static_cast<long long>(n); };
    std::printf("%lld bank queries, %lld of them repeat others\n",
                number(report.rows), number(report.duplicates));
    std::printf(
        "%lld of %lld items (%.1f %%) come first for some, %.1f %% for none\n",
        number(report.activation), number(report.items),
        percent(report.activation, report.items),
        percent(report.items - report.activation, report.items));
    std::printf("%10s %10s\n", "item", "first for");
    for (const ItemHits& item : report.most_hit) {
        std::printf("%10lld %10lld\n", number(item.label), number(item.hits));
    }
    if (report.choice) {
        std::printf(
            "entropy of %lld live queries' answers: raw %.4f, is %.4f, dis "
            "%.4f\n",
            number(report.choice->queries), report.choice->entropy_raw,
            report.choice->entropy_is, report.choice->entropy_dis);
    }
    std::printf("%s\n", report.verdict.c_str());
}

void describe(const BankReport& report, nlohmann::ordered_json& json) {
    json["rows"] = report.rows;
    json["items"] = report.items;
    json["duplicates"] = report.duplicates;
    json["activation_set"] = report.activation;
    json["never_first"] =
        percent(report.items - report.activation, report.items) / 100;
    for (const ItemHits& item : report.most_hit) {
        json["most_hit"].push_back({{"item", item.label}, {"hits", item.hits}});
    }
    if (report.choice) {
        json["queries"] = report.choice->queries;
        json["entropy"] = {{"none", report.choice->entropy_raw},
                           {"is", report.choice->entropy_is},
                           {"dis", report.choice->entropy_dis}};
        json["method"] = name_of(report.choice->method);
        json["beta"] = report.choice->beta;
        json["confidence"] = report.choice->confidence;
    }
    json["verdict"] = report.verdict;
}

struct BankCommand {
    Common common;
    VectorOptions vectors;
    std::string gallery;
    std::string querybank;
    std::string queries;
    idx_t size = 0;
    std::string output;

    explicit BankCommand(CLI::App& command) : common(command) {
        vectors.add_to(command);
        command.add_option("--querybank", querybank, "Past queries")
            ->required();
        command.add_option("--gallery", gallery, "Vectors to search")
            ->required();
        command.add_option("--queries", queries,
                           "Live queries, a thousand if there are: only they "
                           "can tell whether the bank does any good");
        CLI::Option* rows =
            command.add_option("--subsample", size,
                               "Rows of a smaller bank that keeps the effect");
        rows->check(k_range);
        CLI::Option* path = command.add_option("-o,--output", output,
                                               "Where to write it (.npy)");
        rows->needs(path);
        path->needs(rows);
    }

    void run() {
        const auto engine = common.start({gallery, querybank, queries, output});
        if (!output.empty()) {
            require(output.ends_with(".npy"), output,
                    ": the smaller bank is written as .npy; name it so");
            require_writable(output, {gallery, querybank, queries});
        }
        const VectorFile items(gallery, vectors.normalize);
        const auto read = common.timed("read", [&] {
            return std::pair(ScoredRows::optional(querybank, vectors, items),
                             ScoredRows::optional(queries, vectors, items));
        });
        const ScoredRows& bank = *read.first;
        const BankReport report = common.timed("report", [&] {
            return report_bank(bank.vectors.view(), bank.similarities,
                               ScoredRows::of(read.second));
        });
        if (!output.empty()) write(bank);
        print(report);
        describe(report, common.report);
        common.finish();
    }

    // The rows as they were given, float32 and not normalised.
    void write(const ScoredRows& bank) {
        const std::vector<idx_t> rows = common.timed("subsample", [&] {
            return subsample(bank.vectors.view(), bank.similarities, size);
        });
        const Matrix given = VectorFile(querybank, false).read();
        OutputFile out(output);
        write_npy_header(out, ElementType::float32, size, given.d);
        for (const idx_t row : rows) {
            out.write(given.view().row(row), sizeof(float) * given.d);
        }
        out.commit();
        common.report["subsample"] = size;
    }
};

}  // namespace

void add_bank(CLI::App& app) {
    add_command<BankCommand>(
        app, "bank", "Say what a querybank is like and what good it does");
}

}  // namespace faiss_qbnorm::cli
