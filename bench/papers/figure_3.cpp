// Figure 3: how large a bank, and which beta.

#include <algorithm>
#include <cmath>

#include "bench/papers/sections.h"

namespace papers {

namespace {

using faiss_qbnorm::Chart;
using faiss_qbnorm::Scale;

constexpr unsigned seeds = 5;

/// R@1 and its like, over several subsets of the bank.
struct Sample {
    std::vector<double> recall_1;

    double mean() const {
        double sum = 0;
        for (const double one : recall_1) sum += one;
        return sum / static_cast<double>(recall_1.size());
    }
    // Standard deviation; of one subset there is none.
    double spread() const {
        if (recall_1.size() < 2) return 0;
        double sum = 0;
        for (const double one : recall_1) {
            sum += (one - mean()) * (one - mean());
        }
        return std::sqrt(sum / static_cast<double>(recall_1.size() - 1));
    }
};

/// IS and DIS, means over the subsets of one size.
struct Size {
    idx_t queries = 0;
    MethodReport is;
    MethodReport dis;
    Sample is_sample;
    Sample dis_sample;
};

MethodReport mean_of(const std::vector<MethodReport>& reports, size_t first) {
    MethodReport mean;
    const size_t step = 2;  // IS and DIS take turns
    const auto share =
        static_cast<double>(step) / static_cast<double>(reports.size());
    for (size_t i = first; i < reports.size(); i += step) {
        const auto& r = reports[i].retrieval;
        mean.retrieval.recall_1 += share * r.recall_1;
        mean.retrieval.recall_5 += share * r.recall_5;
        mean.retrieval.recall_10 += share * r.recall_10;
        mean.retrieval.median_rank += share * r.median_rank;
        mean.retrieval.geometric_mean += share * r.geometric_mean;
    }
    return mean;
}

Size measure_size(const Scene& scene, idx_t queries) {
    const Kept& all = *scene.querybank.scores;
    std::vector<Kept> banks;
    if (queries == all.rows()) {
        banks.push_back(all);
    } else {
        for (unsigned seed = 0; seed < seeds; seed++) {
            banks.push_back(
                all.some(random_rows(all.rows(), queries, 100 + seed)));
        }
    }
    const auto reports = measure_is_and_dis(scene, banks);
    Size size{queries, mean_of(reports, 0), mean_of(reports, 1), {}, {}};
    for (size_t i = 0; i < reports.size(); i += 2) {
        size.is_sample.recall_1.push_back(reports[i].retrieval.recall_1);
        size.dis_sample.recall_1.push_back(reports[i + 1].retrieval.recall_1);
    }
    return size;
}

std::vector<Size> measure_sizes(const Scene& scene) {
    const idx_t all = scene.querybank.vectors.rows;
    std::vector<Size> sizes;
    for (idx_t power = 10; power < all; power *= 10) {
        for (const idx_t factor : {1, 2, 5}) {
            const idx_t queries = factor * power;
            if (queries < all) sizes.push_back(measure_size(scene, queries));
        }
    }
    sizes.push_back(measure_size(scene, all));
    return sizes;
}

Chart size_chart(const std::vector<Size>& sizes, double raw) {
    Chart chart;
    chart.title = "R@1 by the size of the querybank";
    chart.x = {"queries in the bank", Scale::log, false, {}, {}};
    chart.y = {"R@1 (%)", Scale::linear, false, {}, {}};
    chart.series.resize(3);
    chart.series[0].name = "raw";
    chart.series[0].has_markers = false;
    chart.series[1].name = "IS";
    chart.series[2].name = "DIS";
    for (const Size& size : sizes) {
        const auto x = static_cast<double>(size.queries);
        chart.series[0].points.push_back({x, raw});
        chart.series[1].points.push_back(
            {x, size.is_sample.mean(), size.is_sample.spread()});
        chart.series[2].points.push_back(
            {x, size.dis_sample.mean(), size.dis_sample.spread()});
    }
    return chart;
}

// Whether no more than 5,000, and at most half of a bank, do as the whole does.
void judge_sizes(Report& report, const std::vector<Size>& sizes, double raw) {
    const Size& whole = sizes.back();
    const auto few =
        std::find_if(sizes.rbegin(), sizes.rend(), [&](const Size& size) {
            return size.queries <= std::min<idx_t>(5000, whole.queries / 2);
        });
    constexpr idx_t thousand = 1000;
    if (few == sizes.rend() || few->queries < thousand) {
        report.paragraph(
            "The paper: a few thousand bank queries suffice. This bank is too "
            "small to tell.");
        return;
    }
    const double gain = whole.dis_sample.mean() - raw;
    const double early = few->dis_sample.mean() - raw;
    report.finding(
        {"a few thousand bank queries suffice: more add little (here, less "
         "than a tenth)",
         early > 0.9 * gain,
         count(static_cast<double>(few->queries)) + " queries give DIS " +
             difference(early) + " points of R@1, all " +
             count(static_cast<double>(whole.queries)) + " give " +
             difference(gain)});
}

void write_sizes(const Context& context, double raw) {
    Report& report = context.report;
    const std::vector<Size> sizes = measure_sizes(context.scene);
    report.chart(size_chart(sizes, raw), "fig3-size");
    std::vector<Cells> rows;
    for (const Size& size : sizes) {
        const std::string queries = count(static_cast<double>(size.queries));
        const auto spread = [](const Sample& sample) {
            return sample.recall_1.size() < 2 ? std::string()
                                              : number(sample.spread(), 2);
        };
        rows.push_back(
            with_metrics({queries, "IS"}, size.is, {spread(size.is_sample)}));
        rows.push_back(with_metrics({queries, "DIS"}, size.dis,
                                    {spread(size.dis_sample)}));
    }
    report.table(with_metric_names({"bank size", "method"}, {"spread of R@1"}),
                 rows);

    judge_sizes(report, sizes, raw);
    const auto first = std::find_if(
        sizes.begin(), sizes.end(),
        [&](const Size& size) { return size.dis_sample.mean() > raw; });
    const bool never = first == sizes.end();
    report.paragraph(never ? "No bank size here brings DIS above raw."
                           : "DIS is above raw, in the mean, from " +
                                 count(static_cast<double>(first->queries)) +
                                 " bank queries on.");
}

void write_betas(const Context& context, double raw) {
    const Scene& scene = context.scene;
    Report& report = context.report;
    std::vector<Normalization> asked;
    for (const float beta : beta_grid()) {
        asked.emplace_back(Method::is, beta, 1);
        asked.emplace_back(Method::dis, beta, 1);
    }
    const auto reports = measure(scene, scene.querybank, asked);
    Chart chart;
    chart.title = "R@1 by beta";
    chart.x = {"beta", Scale::log, false, {}, {}};
    chart.y = {"R@1 (%)", Scale::linear, false, {}, {}};
    chart.series = {{"raw", {}, true, false}, {"IS", {}}, {"DIS", {}}};
    std::vector<Cells> rows;
    double best = 0;
    double published = 0;
    float best_beta = 0;
    for (size_t i = 0; i < reports.size(); i++) {
        const MethodReport& one = reports[i];
        const double recall_1 = one.retrieval.recall_1;
        const float beta = asked[i].beta;
        const bool is = one.method == Method::is;
        if (is) chart.series[0].points.push_back({beta, raw});
        chart.series[is ? 1 : 2].points.push_back({beta, recall_1});
        rows.push_back(with_metrics({count(beta), title_of(one.method)}, one,
                                    {number(one.hubness.skewness, 2)}));
        if (is) continue;
        if (recall_1 > best) best_beta = beta;
        best = std::max(best, recall_1);
        if (beta == Normalization().beta) published = recall_1;
    }
    report.chart(chart, "fig3-beta");
    report.table(with_metric_names({"beta", "method"}, {"skewness"}), rows);
    report.finding(
        {"the published beta, 20, is near the best (here, within a point)",
         published > best - 1,
         "DIS at beta 20 has R@1 " + number(published, 1) +
             ", at the sweep's best, " + count(best_beta) + ", " +
             number(best, 1)});
}

}  // namespace

void figure_3(const Context& context, const WholeBank& whole) {
    Report& report = context.report;
    report.section("Fig. 3: bank size and beta");
    report.paragraph(
        "Banks smaller than the whole are random subsets, " +
        std::to_string(seeds) +
        " of each size: means, and the standard deviation of R@1 (bars). The "
        "sweep of beta is with the whole bank; it was not used to choose "
        "beta.");
    const double raw = whole.of(Method::none).retrieval.recall_1;
    write_sizes(context, raw);
    write_betas(context, raw);
}

}  // namespace papers
