#include "faiss_qbnorm/cli/eval_report.h"

#include <cmath>
#include <cstdio>

#include "faiss_qbnorm/eval/plots.h"

namespace faiss_qbnorm::cli {

namespace {

// A rank, or that it is not known.
std::string rank_text(double rank) {
    if (!std::isfinite(rank)) return "-";
    char text[40];
    std::snprintf(text, sizeof text, "%.1f", rank);
    return text;
}

long long wide(idx_t value) {
    return value;
}

}  // namespace

void print(std::span<const MethodReport> reports) {
    std::printf("%-7s %6s %6s %6s %6s %7s %8s %6s %9s %7s %9s %9s\n", "method",
                "R@1", "R@5", "R@10", "R@50", "MdR", "MnR", "gm", "skewness",
                "max occ", "retrieved", "gate open");
    for (const MethodReport& report : reports) {
        const RetrievalMetrics& r = report.retrieval;
        std::printf(
            "%-7s %6.1f %6.1f %6.1f %6.1f %7s %8s %6.1f %9.2f %7lld %7.1f %% "
            "%7.1f %%\n",
            name_of(report.method).c_str(), r.recall_1, r.recall_5, r.recall_10,
            r.recall_50, rank_text(r.median_rank).c_str(),
            rank_text(r.mean_rank).c_str(), r.geometric_mean,
            report.hubness.skewness, wide(report.hubness.max_occurrence),
            100 * report.hubness.retrieved, 100 * report.gate_open);
    }
}

nlohmann::ordered_json to_json(const MethodReport& report) {
    const RetrievalMetrics& r = report.retrieval;
    // What is infinite becomes null.
    return {{"name", name_of(report.method)},
            {"R@1", r.recall_1},
            {"R@5", r.recall_5},
            {"R@10", r.recall_10},
            {"R@50", r.recall_50},
            {"MdR", r.median_rank},
            {"MnR", r.mean_rank},
            {"geometric_mean", r.geometric_mean},
            {"skewness", report.hubness.skewness},
            {"max_k_occurrence", report.hubness.max_occurrence},
            {"retrieved", report.hubness.retrieved},
            {"gate_open", report.gate_open}};
}

std::vector<Hub> HubReport::hubs_of(const MethodReport& report) const {
    std::vector<Hub> hubs =
        top_hubs(report.hubness.occurrences, count, bank_first);
    if (names.empty()) return hubs;
    for (Hub& hub : hubs) hub.label = names[hub.label];
    return hubs;
}

void HubReport::print(std::span<const MethodReport> reports) const {
    std::printf("\n%-7s %9s %7s  %s\n", "hubs of", "item", "occ",
                "bank queries whose first item it is");
    constexpr size_t shown = 8;
    for (const MethodReport& report : reports) {
        for (const Hub& hub : hubs_of(report)) {
            const auto& queries = hub.bank_queries;
            std::printf("%-7s %9lld %7lld %6zu", name_of(report.method).c_str(),
                        wide(hub.label), wide(hub.occurrence), queries.size());
            for (size_t i = 0; i < std::min(shown, queries.size()); i++) {
                std::printf("%s%lld", i == 0 ? ": " : ", ", wide(queries[i]));
            }
            std::printf("%s\n", queries.size() > shown ? ", ..." : "");
        }
    }
}

nlohmann::ordered_json HubReport::to_json(const MethodReport& report) const {
    auto result = nlohmann::ordered_json::array();
    for (const Hub& hub : hubs_of(report)) {
        result.push_back({{"item", hub.label},
                          {"k_occurrence", hub.occurrence},
                          {"bank_queries", hub.bank_queries}});
    }
    return result;
}

void plot(std::span<const MethodReport> reports, const std::string& path) {
    std::vector<OccurrenceSeries> series;
    for (const MethodReport& report : reports) {
        series.push_back({name_of(report.method), report.hubness.occurrences});
    }
    write_svg(k_occurrence_plot(series, occurrence_k), path);
}

}  // namespace faiss_qbnorm::cli
