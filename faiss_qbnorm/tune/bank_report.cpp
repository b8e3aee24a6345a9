#include "faiss_qbnorm/tune/bank_report.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/eval/metrics.h"
#include "faiss_qbnorm/tune/item_statistics.h"
#include "faiss_qbnorm/tune/subsample.h"

namespace faiss_qbnorm {

namespace {

constexpr size_t most_hit_shown = 10;

std::vector<ItemHits> most_hit(const std::vector<idx_t>& hits) {
    std::vector<ItemHits> result;
    for (size_t item = 0; item < hits.size(); item++) {
        if (hits[item] > 0) {
            result.push_back({static_cast<idx_t>(item), hits[item]});
        }
    }
    std::stable_sort(
        result.begin(), result.end(),
        [](const ItemHits& a, const ItemHits& b) { return a.hits > b.hits; });
    if (result.size() > most_hit_shown) result.resize(most_hit_shown);
    return result;
}

/// Over how many items answers would be spread as evenly, if all of them came
/// up equally often: the entropy is a sum of three.
idx_t as_evenly_as(double entropy) {
    return std::lround(std::exp(entropy / 3));
}

std::string verdict(const BetaChoice& choice) {
    std::ostringstream out;
    const auto spread = [&](double entropy) {
        out << "as evenly as over " << as_evenly_as(entropy) << " items";
    };
    if (choice.method == Method::none) {
        out << "this bank does no good: normalising by it does not spread the "
               "answers of these queries (raw ";
        spread(choice.entropy_raw);
        out << "); leave scores raw, or give a bank of queries of their kind";
    } else {
        const bool is = choice.method == Method::is;
        out << "normalising by this bank spreads the answers of these queries: "
               "raw ";
        spread(choice.entropy_raw);
        out << ", by " << (is ? "is " : "dis ");
        spread(is ? choice.entropy_is : choice.entropy_dis);
        out << "; expect fewer hubs and better answers with "
            << name_of(choice.method) << " at beta " << choice.beta;
        if (!is) {
            out << "; not with is, which goes no further or not surely so: the "
                   "bank does not cover all of the gallery";
        }
    }
    if (!choice.warning.empty()) out << "; " << choice.warning;
    return out.str();
}

}  // namespace

BankReport report_bank(const MatrixView& vectors, const Similarities& bank,
                       const Similarities* queries) {
    require(vectors.rows == bank.rows(), bank.name(), ": has ", vectors.rows,
            " vectors but similarities of ", bank.rows());
    require(bank.rows() > 0 && bank.items() > 0,
            "there are no bank queries or no items to report on");
    BankReport report;
    report.rows = bank.rows();
    report.items = bank.items();
    report.duplicates =
        report.rows - static_cast<idx_t>(distinct_rows(vectors).size());
    const ItemStatistics statistics = item_statistics(bank, {{}, {}, 1});
    const std::vector<idx_t> hits =
        k_occurrence(statistics.winners, report.items);
    report.activation = report.items - std::count(hits.begin(), hits.end(), 0);
    report.most_hit = most_hit(hits);
    if (queries) {
        report.choice = choose_beta(bank, queries, {});
        report.verdict = verdict(*report.choice);
    } else {
        report.verdict =
            "only live queries can tell whether the bank is of their domain, "
            "and so whether it does any good: give some hundreds of them";
    }
    return report;
}

}  // namespace faiss_qbnorm
