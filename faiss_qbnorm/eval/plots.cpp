#include "faiss_qbnorm/eval/plots.h"

#include <bit>
#include <cmath>
#include <cstdio>
#include <map>

#include "faiss_qbnorm/eval/metrics.h"

namespace faiss_qbnorm {

namespace {

// The mean, on a log axis, of the counts first .. 2 first - 1.
double middle_of_bin(idx_t first) {
    return std::sqrt(static_cast<double>(first) *
                     static_cast<double>(2 * first - 1));
}

std::vector<ChartPoint> distribution(std::span<const idx_t> occurrences) {
    std::map<idx_t, idx_t> items;  // by their bin's first count
    for (const idx_t count : occurrences) {
        items[static_cast<idx_t>(
            std::bit_floor(static_cast<std::uint64_t>(count)))]++;
    }
    std::vector<ChartPoint> points;
    points.reserve(items.size());
    for (const auto& [first, number] : items) {
        points.push_back({first == 0 ? 0 : middle_of_bin(first),
                          static_cast<double>(number)});
    }
    return points;
}

}  // namespace

Chart k_occurrence_plot(const std::vector<OccurrenceSeries>& series, idx_t k) {
    const std::string name = std::to_string(k) + "-occurrence";
    Chart chart;
    chart.width = 720;  // room for a legend where nothing comes up often
    chart.title =
        "Hubness: how often items are among the top " + std::to_string(k);
    chart.x = {name + " (bins 0, 1, 2–3, 4–7, …)", Scale::log, true, {}, {}};
    chart.y = {"items", Scale::log, false, {}, {}};
    for (const OccurrenceSeries& one : series) {
        char skewness[40];
        std::snprintf(skewness, sizeof skewness, " (skewness %.2f)",
                      k_skewness(one.occurrences));
        chart.series.push_back(
            {one.name + skewness, distribution(one.occurrences)});
    }
    return chart;
}

}  // namespace faiss_qbnorm
