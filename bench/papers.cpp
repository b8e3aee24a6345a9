// The experiments of the papers, on real embeddings: one Markdown report with
// charts beside it. A figure is measured in this run or it is not there; the
// sentences that compare with the papers follow from the figures.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>

#include "bench/papers/run_facts.h"
#include "bench/papers/sections.h"
#include "faiss_qbnorm/io/output_file.h"

namespace {

using namespace papers;
using std::filesystem::path;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

std::string sizes_of(const Dataset& dataset) {
    const Problem& problem = dataset.problem;
    const auto rows = [](const Matrix& matrix) {
        return count(static_cast<double>(matrix.rows));
    };
    std::string text =
        rows(problem.queries) + " queries for " + rows(problem.gallery) +
        " items, d " + std::to_string(problem.gallery.d) + "; querybank " +
        rows(problem.querybank) + ", gallerybank " + rows(problem.gallerybank);
    if (problem.val_queries.rows > 0) {
        text += ", validation pairs " + rows(problem.val_queries);
    }
    if (dataset.far.rows > 0) text += ", far bank " + rows(dataset.far);
    return text + ".";
}

std::string report_on(const Dataset& dataset, const std::string& charts) {
    const auto begin = Clock::now();
    const auto done = [&](const char* what) {
        std::fprintf(stderr, "papers: %s: %s, %.1f s\n", dataset.name.c_str(),
                     what, seconds_since(begin));
    };
    Report report(charts, dataset.name);
    const Scene scene(dataset.problem);
    const Context context{dataset, scene, report};
    const WholeBank whole(scene);
    done("whole bank");
    const std::vector<NamedBank> banks = equal_banks(dataset, scene);
    table_1(context, whole);
    done("table 1");
    table_2(context, whole, banks);
    done("table 2");
    table_3(context, whole);
    figure_3(context, whole);
    done("fig. 3");
    figure_4(context);
    done("fig. 4");
    figure_5(context, whole);
    table_15(context, banks);
    done("table 15");
    table_17(context, whole);
    table_18(context);
    done("table 18");
    dual_banks(context, whole);
    done("dual banks");
    const std::string rule =
        scene.problem.val_queries.rows > 0
            ? ", the best for IS on the validation pairs"
            : ", the published default: there are no validation pairs";
    return "## " + dataset.name + "\n\n" + sizes_of(dataset) + " Beta " +
           count(scene.beta) + rule + ". Differences in R@1 below " +
           number(scene.noise(), 1) +
           " points count as none: a standard error where one query in ten "
           "changes sides. This took " +
           number(seconds_since(begin), 0) + " s.\n\n" + report.text();
}

std::string head(const std::string& data) {
    std::string betas;
    for (const float beta : beta_grid()) {
        betas += (betas.empty() ? "" : ", ") + count(beta);
    }
    return "# The papers' experiments\n\n"
           "Tables and figures are numbered as in Bogolin et al., *Cross Modal "
           "Retrieval with Querybank Normalisation*, CVPR 2022; the figures "
           "quoted from it are text to video, MSR-VTT, R@1. gm: the geometric "
           "mean of R@1, R@5 and R@10. MdR: median rank. Rankings are of the "
           "whole gallery by exact scores, ties averaged.\n\n"
           "Beta, one rule for all: of " +
           betas +
           " the best for IS (R@1, then gm) on the validation pairs with the "
           "whole querybank; without validation pairs the published 20. All "
           "else is as published: activation k 1, CSLS K 10, NNN K 128 and "
           "alpha 0.75, DualIS and DualDIS beta 3 for the gallerybank, DBSN "
           "tau 0.01 and 10 iterations. Nothing was chosen on test queries.\n\n"
           "- date: " +
           date() + "\n- commit: " + commit() + "\n- machine: " + machine() +
           "\n- command: `papers --data " + data + " -o REPORT.md`\n\n";
}

void run(const std::string& data, const std::string& output) {
    const path file(output);
    const std::string charts =
        (file.parent_path() / file.stem()).lexically_normal().string();
    const std::vector<Dataset> datasets = read_datasets(data);
    std::string text = head(canonical(path(data)).filename().string());
    for (const Dataset& dataset : datasets) text += report_on(dataset, charts);
    faiss_qbnorm::OutputFile out(output);
    out.write(text.data(), text.size());
    out.commit();
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("The papers' experiments: a Markdown report with charts");
    std::string data = QBNORM_DATA_DIR;
    std::string output = "papers.md";
    app.add_option("--data", data, "Folder of dataset folders, or one of them")
        ->check(CLI::ExistingDirectory);
    app.add_option("-o,--output", output,
                   "The report; its charts lie in a folder of its name")
        ->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    try {
        run(data, output);
        return 0;
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "papers: %s\n", problem.what());
        return 1;
    }
}
