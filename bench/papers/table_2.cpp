// Table 2: every method over banks of several kinds, of one size.

#include <cmath>

#include "bench/papers/sections.h"

namespace papers {

namespace {

constexpr Method of_the_paper[] = {Method::none, Method::gc, Method::csls,
                                   Method::is, Method::dis};

/// Reports of each method over each bank.
class Grid {
  public:
    Grid(const Context& context, const std::vector<NamedBank>& banks)
        : context_(context), banks_(banks) {
        methods_.assign(std::begin(of_the_paper), std::end(of_the_paper));
        methods_.push_back(Method::nnn);
        methods_.push_back(Method::cent);
        if (context.scene.gallerybank) {
            methods_.push_back(Method::dualis);
            methods_.push_back(Method::dualdis);
        }
        methods_.push_back(Method::dbsn);
        std::vector<Normalization> asked;
        for (const Method method : methods_) {
            asked.push_back(context.scene.at_beta(method));
        }
        for (const NamedBank& bank : banks) {
            reports_.push_back(measure(context.scene, bank.bank, asked));
        }
    }

    const MethodReport& of(Method method, size_t bank) const {
        return reports_[bank][place(method)];
    }
    double recall_1(Method method, size_t bank) const {
        return of(method, bank).retrieval.recall_1;
    }

    // Geometric mean over the banks, of R@1.
    double over_banks(Method method) const {
        double logs = 0;
        for (size_t b = 0; b < banks_.size(); b++) {
            logs += std::log(recall_1(method, b));
        }
        return std::exp(logs / static_cast<double>(banks_.size()));
    }

    void write(const std::string& title, size_t first, size_t last) const {
        Report& report = context_.report;
        report.paragraph("**" + title + "**");
        std::vector<Cells> rows;
        for (size_t b = 0; b < banks_.size(); b++) {
            for (size_t m = first; m < last; m++) {
                const MethodReport& one = reports_[b][m];
                rows.push_back(
                    with_metrics({banks_[b].name, title_of(one.method)}, one,
                                 {number(100 * one.gate_open, 0) + " %"}));
            }
        }
        report.table(with_metric_names({"bank", "method"}, {"normalised"}),
                     rows);
        write_summary(first, last);
    }

    size_t size() const { return methods_.size(); }

  private:
    size_t place(Method method) const {
        return std::find(methods_.begin(), methods_.end(), method) -
               methods_.begin();
    }

    void write_summary(size_t first, size_t last) const {
        Cells header{"R@1 by method"};
        for (const NamedBank& bank : banks_) header.push_back(bank.name);
        header.emplace_back("geometric mean over the banks");
        std::vector<Cells> rows;
        for (size_t m = first; m < last; m++) {
            Cells row{title_of(methods_[m])};
            for (size_t b = 0; b < banks_.size(); b++) {
                row.push_back(number(recall_1(methods_[m], b), 1));
            }
            row.push_back(number(over_banks(methods_[m]), 1));
            rows.push_back(row);
        }
        context_.report.table(header, rows);
    }

    const Context& context_;
    const std::vector<NamedBank>& banks_;
    std::vector<Method> methods_;
    std::vector<std::vector<MethodReport>> reports_;  // by bank, then method
};

size_t first_of(const std::vector<NamedBank>& banks, BankKind kind) {
    const auto found =
        std::find_if(banks.begin(), banks.end(),
                     [&](const NamedBank& bank) { return bank.kind == kind; });
    return found - banks.begin();
}

std::string against_raw(const Grid& grid, size_t bank,
                        std::initializer_list<Method> methods) {
    std::string text = "raw " + number(grid.recall_1(Method::none, bank), 1);
    for (const Method method : methods) {
        text += ", " + title_of(method) + " " +
                number(grid.recall_1(method, bank), 1);
    }
    return text;
}

void judge_in_domain(const Context& context, const Grid& grid, size_t bank,
                     const WholeBank& whole) {
    const double noise = context.scene.noise();
    const double raw = grid.recall_1(Method::none, bank);
    bool all_gain = true;
    for (const Method method :
         {Method::gc, Method::csls, Method::is, Method::dis}) {
        all_gain = all_gain && grid.recall_1(method, bank) > raw + noise;
    }
    const std::string here = "R@1 " + against_raw(grid, bank,
                                                  {Method::gc, Method::csls,
                                                   Method::is, Method::dis});
    context.report.finding(
        {"in domain every strategy gains R@1 (raw 14.9, GC 15.8, CSLS 16.8, "
         "IS 17.1, DIS 17.0)",
         all_gain, here});
    const double others = std::max(grid.recall_1(Method::gc, bank),
                                   grid.recall_1(Method::csls, bank));
    const double least = std::min(grid.recall_1(Method::is, bank),
                                  grid.recall_1(Method::dis, bank));
    context.report.finding(
        {"in domain IS and DIS are level, above GC and CSLS",
         least > others && std::fabs(grid.recall_1(Method::is, bank) -
                                     grid.recall_1(Method::dis, bank)) < noise,
         here + " (with the whole querybank IS " +
             number(whole.of(Method::is).retrieval.recall_1, 1) + ", DIS " +
             number(whole.of(Method::dis).retrieval.recall_1, 1) + ")"});
}

void judge_far(const Context& context, const Grid& grid, size_t bank,
               const std::string& name) {
    const double noise = context.scene.noise();
    const double raw = grid.recall_1(Method::none, bank);
    const std::string here =
        name + ", R@1 " +
        against_raw(grid, bank,
                    {Method::gc, Method::csls, Method::is, Method::dis});
    context.report.finding(
        {"by a far bank IS and CSLS fall below raw (raw 14.9, CSLS 13.4, IS "
         "11.6)",
         std::max(grid.recall_1(Method::is, bank),
                  grid.recall_1(Method::csls, bank)) < raw - noise,
         here});
    context.report.finding(
        {"by a far bank DIS does no harm (raw 14.9, DIS 14.9)",
         grid.recall_1(Method::dis, bank) > raw - noise, here});
}

void judge_all(const Context& context, const Grid& grid) {
    double best = 0;
    std::string here = "geometric mean of R@1 over the banks:";
    for (const Method method : of_the_paper) {
        best = std::max(best, grid.over_banks(method));
        here += (method == Method::none ? " " : ", ") + title_of(method) + " " +
                number(grid.over_banks(method), 1);
    }
    context.report.finding(
        {"over all banks DIS is the most robust strategy",
         grid.over_banks(Method::dis) > best - context.scene.noise(), here});
}

void judge_later(const Context& context, const Grid& grid, size_t bank) {
    const double noise = context.scene.noise();
    const double raw = grid.recall_1(Method::none, bank);
    context.report.finding(
        {"NNN gains over raw (Chowdhury et al. 2024)",
         grid.recall_1(Method::nnn, bank) > raw + noise,
         "in domain, R@1 " + against_raw(grid, bank, {Method::nnn})});
    if (!context.scene.gallerybank) return;
    context.report.finding(
        {"DBSN is above DualIS and DualDIS (Pan et al. 2025)",
         grid.recall_1(Method::dbsn, bank) >
             std::max(grid.recall_1(Method::dualis, bank),
                      grid.recall_1(Method::dualdis, bank)) +
                 noise,
         "in domain, R@1 " +
             against_raw(grid, bank,
                         {Method::dualis, Method::dualdis, Method::dbsn})});
}

}  // namespace

void table_2(const Context& context, const WholeBank& whole,
             const std::vector<NamedBank>& banks) {
    Report& report = context.report;
    report.section("Table 2: strategies and banks");
    const auto size = static_cast<double>(banks.front().bank.vectors.rows);
    report.paragraph(
        "Every bank holds " + count(size) +
        " queries. Covered: the items that are first for one of them. "
        "Normalised: the share of the queries whose gate is open.");
    std::vector<Cells> what;
    what.reserve(banks.size());
    for (const NamedBank& bank : banks) {
        what.push_back(
            {bank.name, bank.what, count(static_cast<double>(bank.covers))});
    }
    report.table({"bank", "what", "covered"}, what);
    const Grid grid(context, banks);
    constexpr size_t own = std::size(of_the_paper);
    grid.write("Strategies of the paper", 0, own);
    grid.write("Other methods over the same banks", own, grid.size());

    const size_t in_domain = first_of(banks, BankKind::in_domain);
    const size_t far = first_of(banks, BankKind::far);
    judge_in_domain(context, grid, in_domain, whole);
    judge_far(context, grid, far, banks[far].name);
    judge_all(context, grid);
    judge_later(context, grid, in_domain);
}

}  // namespace papers
