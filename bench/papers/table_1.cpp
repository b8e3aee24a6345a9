// Table 1: where the querybank comes from.

#include "bench/papers/sections.h"

namespace papers {

void table_1(const Context& context, const WholeBank& whole) {
    const Scene& scene = context.scene;
    Report& report = context.report;
    report.section("Table 1: banks of training and of test queries");
    const MethodReport& raw = whole.of(Method::none);
    std::vector<Cells> rows{with_metrics({"none", "", "raw"}, raw)};
    const auto add = [&](const std::string& name, const ScoredBank& bank,
                         const MethodReport& is, const MethodReport& dis) {
        const auto size = static_cast<double>(bank.vectors.rows);
        rows.push_back(with_metrics({name, count(size), "IS"}, is));
        rows.push_back(with_metrics({name, count(size), "DIS"}, dis));
    };
    const std::vector<Normalization> both{scene.at_beta(Method::is),
                                          scene.at_beta(Method::dis)};
    const MethodReport& train_is = whole.of(Method::is);
    const MethodReport& train_dis = whole.of(Method::dis);
    add("training", scene.querybank, train_is, train_dis);
    if (scene.problem.val_queries.rows > 0) {
        const ScoredBank bank(scene.problem.gallery, scene.problem.val_queries);
        const auto reports = measure(scene, bank, both);
        add("validation", bank, reports[0], reports[1]);
    }
    const auto test = measure(scene, scene.queries, both);
    add("test (the queries themselves)", scene.queries, test[0], test[1]);
    report.table(with_metric_names({"bank", "size", "method"}), rows);

    const double base = raw.retrieval.recall_1;
    const double least =
        std::min(train_is.retrieval.recall_1, train_dis.retrieval.recall_1);
    report.finding(
        {"a bank of training queries improves retrieval, no test query needed",
         least > base + scene.noise(),
         "IS gains " + difference(train_is.retrieval.recall_1 - base) +
             " and DIS " + difference(train_dis.retrieval.recall_1 - base) +
             " points of R@1 by training queries (by the test queries "
             "themselves " +
             difference(test[0].retrieval.recall_1 - base) + " and " +
             difference(test[1].retrieval.recall_1 - base) + ")"});
}

}  // namespace papers
