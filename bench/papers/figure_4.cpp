// Figure 4: the embeddings' dimension.

#include "bench/papers/sections.h"

namespace papers {

namespace {

using faiss_qbnorm::Chart;
using faiss_qbnorm::Scale;

constexpr Method shown[] = {Method::none, Method::is, Method::dis};
constexpr int least = 8;

Chart chart_of(const std::string& what) {
    Chart chart;
    chart.title = what + " by the embeddings' dimension";
    chart.x = {"dimension", Scale::log, false, {}, {}};
    chart.y = {what, Scale::linear, false, {}, {}};
    for (const Method method : shown) {
        chart.series.push_back({title_of(method), {}});
    }
    return chart;
}

}  // namespace

void figure_4(const Context& context) {
    Report& report = context.report;
    report.section("Fig. 4: embedding dimension");
    report.paragraph(
        "The leading principal axes of both banks together, not centred, rows "
        "of unit length again (the paper has models of other dimensions); "
        "beta by the same rule at each dimension.");
    Chart recalls = chart_of("R@1 (%)");
    Chart skewnesses = chart_of("Skewness of the 10-occurrence");
    std::vector<Cells> rows;
    std::vector<std::vector<MethodReport>> by_dimension;
    const Problem& problem = context.scene.problem;
    std::vector<int> dimensions;
    for (int d = problem.gallery.d; d >= least; d /= 2) {
        dimensions.push_back(d);
        const bool whole = d == problem.gallery.d;
        std::optional<Scene> smaller;
        if (!whole) smaller.emplace(projected(problem, d));
        const Scene& scene = whole ? context.scene : *smaller;
        std::vector<Normalization> asked;
        for (const Method method : shown) {
            asked.push_back(scene.at_beta(method));
        }
        by_dimension.push_back(measure(scene, scene.querybank, asked));
        const auto& reports = by_dimension.back();
        for (size_t m = 0; m < reports.size(); m++) {
            const bool raw = shown[m] == Method::none;
            const auto& one = reports[m];
            recalls.series[m].points.push_back(
                {static_cast<double>(d), one.retrieval.recall_1});
            skewnesses.series[m].points.push_back(
                {static_cast<double>(d), one.hubness.skewness});
            rows.push_back(with_metrics({std::to_string(d), title_of(shown[m]),
                                         raw ? "" : count(scene.beta)},
                                        one,
                                        {number(one.hubness.skewness, 2)}));
        }
    }
    report.chart(recalls, "fig4-recall");
    report.chart(skewnesses, "fig4-skewness");
    report.table(
        with_metric_names({"dimension", "method", "beta"}, {"skewness"}), rows);

    const auto& first = by_dimension.front();
    const auto& last = by_dimension.back();
    report.finding(
        {"hubness grows with the dimension (Radovanovic et al. 2010)",
         first[0].hubness.skewness > last[0].hubness.skewness,
         "raw, skewness " + number(last[0].hubness.skewness, 2) + " in " +
             std::to_string(dimensions.back()) + " dimensions, " +
             number(first[0].hubness.skewness, 2) + " in " +
             std::to_string(dimensions.front())});
    int gains = 0;
    for (const auto& reports : by_dimension) {
        const double raw = reports[0].retrieval.recall_1;
        gains += reports[2].retrieval.recall_1 > raw ? 1 : 0;
    }
    report.finding({"normalising helps at every dimension",
                    gains == static_cast<int>(by_dimension.size()),
                    "DIS is above raw at " + std::to_string(gains) + " of " +
                        std::to_string(by_dimension.size()) + " dimensions"});
}

}  // namespace papers
