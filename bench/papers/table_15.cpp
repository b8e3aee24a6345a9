// Table 15: how many items each bank query puts into the activation set.

#include "bench/papers/sections.h"

namespace papers {

void table_15(const Context& context, const std::vector<NamedBank>& banks) {
    const Scene& scene = context.scene;
    Report& report = context.report;
    report.section("Table 15: the activation set's k");
    report.paragraph("DIS, with the banks of table 2.");
    std::vector<Normalization> asked{scene.at_beta(Method::none)};
    for (const idx_t k : {1, 2, 3, 5, 10, 20, 50}) {
        if (k > scene.problem.gallery.rows) break;
        asked.emplace_back(Method::dis, scene.beta, k);
    }
    std::vector<Cells> rows;
    std::vector<Finding> findings;
    for (const NamedBank& bank : banks) {
        if (bank.kind == BankKind::adversarial) continue;
        const auto reports = measure(scene, bank.bank, asked);
        size_t best = 1;
        for (size_t i = 0; i < reports.size(); i++) {
            const bool raw = reports[i].method == Method::none;
            rows.push_back(with_metrics(
                {bank.name,
                 raw ? "raw" : std::to_string(asked[i].activation_k)},
                reports[i], {number(100 * reports[i].gate_open, 0) + " %"}));
            const auto recall_1 = [&](size_t which) {
                return reports[which].retrieval.recall_1;
            };
            if (!raw && recall_1(i) > recall_1(best)) best = i;
        }
        if (bank.kind != BankKind::far) continue;
        findings.push_back(
            {"k = 1 is best by a far bank",
             reports[1].retrieval.recall_1 >
                 reports[best].retrieval.recall_1 - scene.noise(),
             bank.name + ", " + recall(reports[1]) + " at k = 1, best " +
                 recall(reports[best]) +
                 " at k = " + std::to_string(asked[best].activation_k) +
                 ", raw " + number(reports[0].retrieval.recall_1, 1)});
    }
    report.table(with_metric_names({"bank", "k"}, {"normalised"}), rows);
    for (const Finding& finding : findings) report.finding(finding);
}

}  // namespace papers
