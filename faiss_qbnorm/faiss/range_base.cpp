#include "faiss_qbnorm/faiss/range_base.h"

#include <faiss/impl/FaissException.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/faiss/base_params.h"
#include "faiss_qbnorm/faiss/unwrap.h"

namespace faiss_qbnorm {

namespace {

std::vector<bool> gates_of(const faiss::Index& base, const SearchPlan& plan,
                           const MatrixView& queries,
                           const faiss::SearchParameters* params) {
    if (plan.method == Method::is) {
        return std::vector<bool>(queries.rows, true);
    }
    std::vector<QueryReport> reports(queries.rows);
    std::vector<float> scores(queries.rows);
    std::vector<idx_t> labels(queries.rows);
    search_base(base, plan, queries, 1, {scores.data(), labels.data()}, params,
                reports.data());
    std::vector<bool> gates;
    for (const QueryReport& report : reports) gates.push_back(report.open);
    return gates;
}

/// A raw radius that lets every item pass whose normalised distance is beyond
/// `radius`, whatever was rounded on the way.
float raw_radius(const SearchPlan& plan, float radius) {
    const double least = plan.least_offset;
    const double slack = (std::fabs(radius) + std::fabs(least)) * 0x1p-22;
    const double raw = plan.metric == Metric::l2 ? radius - least + slack
                                                 : radius + least - slack;
    constexpr double largest = std::numeric_limits<float>::max();
    if (std::fabs(raw) > largest) {
        return std::copysign(std::numeric_limits<float>::infinity(),
                             static_cast<float>(raw > 0 ? 1 : -1));
    }
    return static_cast<float>(raw);
}

struct Hit {
    float distance;
    idx_t label;
};

/// Some of the queries, and what the base finds for them.
struct Group {
    std::vector<idx_t> members;
    std::vector<float> queries;

    void search(const faiss::Index& index, float radius,
                const faiss::SearchParameters* params,
                faiss::RangeSearchResult& found) const {
        try {
            index.range_search(static_cast<idx_t>(members.size()),
                               queries.data(), radius, &found, params);
        } catch (const faiss::FaissException& problem) {
            fail(
                "the base index's range_search failed; where it has none, "
                "search with a large k instead. FAISS says: ",
                problem.what());
        }
    }
};

bool is_beyond(Metric metric, float distance, float radius) {
    return metric == Metric::l2 ? distance < radius : distance > radius;
}

void collect(const Group& group, const faiss::RangeSearchResult& found,
             const SearchPlan& plan, bool open, float radius,
             std::vector<std::vector<Hit>>& hits) {
    const float sign = plan.metric == Metric::l2 ? -1.0F : 1.0F;
    const auto items = static_cast<idx_t>(plan.column.offsets.size());
    for (size_t i = 0; i < group.members.size(); i++) {
        auto& row = hits[group.members[i]];
        for (size_t j = found.lims[i]; j < found.lims[i + 1]; j++) {
            Hit hit{found.distances[j], found.labels[j]};
            require(hit.label >= 0 && hit.label < items,
                    "the base index holds label ", hit.label,
                    " but the table covers ", items, " items");
            if (open) hit.distance -= sign * plan.column.offsets[hit.label];
            if (is_beyond(plan.metric, hit.distance, radius)) {
                row.push_back(hit);
            }
        }
    }
}

void write(const std::vector<std::vector<Hit>>& hits,
           faiss::RangeSearchResult* result) {
    // do_allocation makes offsets of the counts.
    for (size_t i = 0; i < hits.size(); i++) result->lims[i] = hits[i].size();
    result->do_allocation();
    size_t slot = 0;
    for (const auto& row : hits) {
        for (const Hit& hit : row) {
            result->distances[slot] = hit.distance;
            result->labels[slot++] = hit.label;
        }
    }
}

}  // namespace

QBNormSearchStats range_search_base(const faiss::Index& base,
                                    const SearchPlan& plan,
                                    const MatrixView& queries, float radius,
                                    faiss::RangeSearchResult* result,
                                    const faiss::SearchParameters* params) {
    require(static_cast<idx_t>(result->nq) == queries.rows,
            "the RangeSearchResult is for ", result->nq, " queries, not ",
            queries.rows);
    require(!std::isnan(radius), "the radius is NaN");
    const std::vector<bool> gates = gates_of(base, plan, queries, params);
    const Transformed there(base, queries);
    const MatrixView& vectors = there.view();
    std::vector<std::vector<Hit>> hits(queries.rows);
    idx_t candidates = 0;
    for (const bool open : {false, true}) {
        Group group;
        for (idx_t i = 0; i < queries.rows; i++) {
            if (gates[i] != open) continue;
            group.members.push_back(i);
            group.queries.insert(group.queries.end(), vectors.row(i),
                                 vectors.row(i + 1));
        }
        if (group.members.empty()) continue;
        faiss::RangeSearchResult found(
            static_cast<idx_t>(group.members.size()));
        group.search(innermost(base), open ? raw_radius(plan, radius) : radius,
                     innermost_params(base, params), found);
        collect(group, found, plan, open, radius, hits);
        candidates += static_cast<idx_t>(found.lims[found.nq]);
    }
    write(hits, result);
    QBNormSearchStats stats;
    stats.queries = queries.rows;
    stats.open_gates = std::count(gates.begin(), gates.end(), true);
    stats.candidates = candidates;
    stats.certified = returns_exact_top_k(innermost(base)) ? queries.rows : 0;
    return stats;
}

}  // namespace faiss_qbnorm
