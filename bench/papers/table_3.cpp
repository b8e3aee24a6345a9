// Table 3 and figure 5: hubness before and after.

#include <algorithm>

#include "bench/papers/sections.h"
#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/eval/plots.h"

namespace papers {

namespace {

std::vector<MethodReport> measure_all(const Scene& scene) {
    std::vector<Normalization> asked;
    for (const Method method :
         {Method::none, Method::gc, Method::csls, Method::is, Method::dis,
          Method::nnn, Method::cent, Method::dualis, Method::dualdis,
          Method::dbsn}) {
        if (is_dual(method) && !scene.gallerybank) continue;
        asked.push_back(scene.at_beta(method));
    }
    return measure(scene, scene.querybank, asked);
}

}  // namespace

WholeBank::WholeBank(const Scene& scene) : reports(measure_all(scene)) {}

const MethodReport& WholeBank::of(Method method) const {
    const auto found = std::find_if(
        reports.begin(), reports.end(),
        [&](const MethodReport& one) { return one.method == method; });
    faiss_qbnorm::require(found != reports.end(), title_of(method),
                          " was not measured; give a gallerybank");
    return *found;
}

void table_3(const Context& context, const WholeBank& whole) {
    Report& report = context.report;
    report.section("Table 3: hubness before and after");
    report.paragraph(
        "The whole querybank. Skewness and maximum are those of the "
        "10-occurrence over all items; retrieved: the share of the gallery "
        "that comes up in any query's top 10.");
    std::vector<Cells> rows;
    for (const MethodReport& one : whole.reports) {
        const faiss_qbnorm::Hubness& hubness = one.hubness;
        rows.push_back(
            with_metrics({title_of(one.method)}, one,
                         {number(hubness.skewness, 2),
                          count(static_cast<double>(hubness.max_occurrence)),
                          number(100 * hubness.retrieved, 1) + " %"}));
    }
    report.table(
        with_metric_names({"method"}, {"skewness", "max", "retrieved"}), rows);

    const auto skewness = [&](Method method) {
        return whole.of(method).hubness.skewness;
    };
    report.finding({"normalising makes hubness less",
                    std::max(skewness(Method::is), skewness(Method::dis)) <
                        skewness(Method::none),
                    "skewness " + number(skewness(Method::none), 2) +
                        " becomes " + number(skewness(Method::is), 2) +
                        " by IS and " + number(skewness(Method::dis), 2) +
                        " by DIS"});
}

void figure_5(const Context& context, const WholeBank& whole) {
    Report& report = context.report;
    report.section("Fig. 5: the k-occurrence before and after");
    std::vector<faiss_qbnorm::OccurrenceSeries> series;
    for (const Method method : {Method::none, Method::is, Method::dis}) {
        series.push_back(
            {title_of(method), whole.of(method).hubness.occurrences});
    }
    report.chart(k_occurrence_plot(series, faiss_qbnorm::occurrence_k),
                 "fig5-occurrence");
    const auto most = [&](Method method) {
        return static_cast<double>(whole.of(method).hubness.max_occurrence);
    };
    report.finding({"the long tail of hubs goes",
                    std::max(most(Method::is), most(Method::dis)) <
                        0.75 * most(Method::none),
                    "the top hub comes up for " + count(most(Method::none)) +
                        " queries, by IS the top one for " +
                        count(most(Method::is)) + ", by DIS for " +
                        count(most(Method::dis))});
}

}  // namespace papers
