// Tables 17 (centring) and 18 (the reverse direction), and what a second bank
// adds.

#include "bench/papers/sections.h"

namespace papers {

void table_17(const Context& context, const WholeBank& whole) {
    const Scene& scene = context.scene;
    Report& report = context.report;
    report.section("Table 17: centring");
    std::vector<Cells> rows;
    for (const Method method : {Method::none, Method::is, Method::dis}) {
        rows.push_back(with_metrics({title_of(method), ""}, whole.of(method)));
    }
    const MethodReport& cent = whole.of(Method::cent);
    rows.push_back(with_metrics({"CENT", "the querybank's mean"}, cent));
    if (scene.gallerybank) {
        const std::vector<Normalization> asked{Normalization(Method::cent)};
        rows.push_back(
            with_metrics({"CENT", "the gallerybank's mean"},
                         measure(scene, *scene.gallerybank, asked).front()));
    }
    report.table(with_metric_names({"method", "centre"}), rows);
    const double raw = whole.of(Method::none).retrieval.recall_1;
    const double dis = whole.of(Method::dis).retrieval.recall_1;
    const std::string here = "raw " + number(raw, 1) + ", CENT " +
                             number(cent.retrieval.recall_1, 1) + ", DIS " +
                             number(dis, 1);
    report.finding({"CENT gains nothing over raw (14.4 against 14.9)",
                    cent.retrieval.recall_1 < raw + scene.noise(),
                    "R@1 " + here});
    report.finding({"CENT is below DIS (14.4 against 17.0)",
                    cent.retrieval.recall_1 < dis - scene.noise(),
                    "R@1 " + here});
}

void table_18(const Context& context) {
    Report& report = context.report;
    report.section("Table 18: the reverse direction");
    if (!context.scene.gallerybank) {
        report.paragraph("Left out: the dataset has no gallerybank.");
        return;
    }
    const Scene scene(reversed(context.scene.problem));
    report.paragraph(
        "Items ask for queries; the bank is the gallerybank. Beta, by the same "
        "rule: " +
        count(scene.beta) + ".");
    std::vector<Normalization> asked;
    for (const Method method :
         {Method::none, Method::gc, Method::csls, Method::is, Method::dis}) {
        asked.push_back(scene.at_beta(method));
    }
    const auto reports = measure(scene, scene.querybank, asked);
    std::vector<Cells> rows;
    rows.reserve(reports.size());
    for (const MethodReport& one : reports) {
        rows.push_back(with_metrics({title_of(one.method)}, one,
                                    {number(one.hubness.skewness, 2)}));
    }
    report.table(with_metric_names({"method"}, {"skewness"}), rows);
    const auto both = [](const MethodReport& one) {
        return number(one.retrieval.recall_1, 1) + " (" +
               number(one.retrieval.geometric_mean, 1) + ")";
    };
    const MethodReport& raw = reports[0];
    const MethodReport& is = reports[3];
    const MethodReport& dis = reports[4];
    report.finding({"normalising helps in the reverse direction, too",
                    std::min(is.retrieval.recall_1, dis.retrieval.recall_1) >
                        raw.retrieval.recall_1 + scene.noise(),
                    "R@1 (and gm): raw " + both(raw) + ", IS " + both(is) +
                        ", DIS " + both(dis)});
}

void dual_banks(const Context& context, const WholeBank& whole) {
    const Scene& scene = context.scene;
    Report& report = context.report;
    report.section("Dual banks: what the gallerybank adds (Wang et al. 2023)");
    if (!scene.gallerybank) {
        report.paragraph("Left out: the dataset has no gallerybank.");
        return;
    }
    std::vector<Cells> rows;
    const auto add = [&](const MethodReport& one, const std::string& beta2) {
        rows.push_back(with_metrics({title_of(one.method), beta2}, one,
                                    {number(one.hubness.skewness, 2)}));
    };
    const std::string published = count(Normalization().beta2) + ", published";
    add(whole.of(Method::is), "");
    add(whole.of(Method::dualis), published);
    std::vector<Normalization> level{scene.at_beta(Method::dualis),
                                     scene.at_beta(Method::dualdis)};
    for (Normalization& one : level) one.beta2 = scene.beta;
    const auto at_beta = measure(scene, scene.querybank, level);
    add(at_beta[0], count(scene.beta) + ", as beta");
    add(whole.of(Method::dis), "");
    add(whole.of(Method::dualdis), published);
    add(at_beta[1], count(scene.beta) + ", as beta");
    report.table(
        with_metric_names({"method", "beta of the gallerybank"}, {"skewness"}),
        rows);
    const auto judge = [&](Method one, Method dual) {
        const double before = whole.of(one).retrieval.recall_1;
        const double after = whole.of(dual).retrieval.recall_1;
        report.finding(
            {title_of(dual) + " is above " + title_of(one),
             after > before + scene.noise(),
             "R@1 " + number(before, 1) + " becomes " + number(after, 1)});
    };
    judge(Method::is, Method::dualis);
    judge(Method::dis, Method::dualdis);
}

}  // namespace papers
