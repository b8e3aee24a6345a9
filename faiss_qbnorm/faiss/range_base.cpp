#include "faiss_qbnorm/faiss/range_base.h"

#include <faiss/impl/FaissException.h>

#include <algorithm>
#include <cmath>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/faiss/base_gallery.h"
#include "faiss_qbnorm/faiss/base_params.h"
#include "faiss_qbnorm/faiss/base_scores.h"
#include "faiss_qbnorm/faiss/range_flat.h"
#include "faiss_qbnorm/faiss/raw_bound.h"
#include "faiss_qbnorm/faiss/scan_ivf.h"
#include "faiss_qbnorm/faiss/unwrap.h"

namespace faiss_qbnorm {

namespace {

std::vector<bool> gates_of(const faiss::Index& base, const SearchPlan& plan,
                           const MatrixView& queries,
                           const faiss::SearchParameters* params) {
    if (gate_opens(plan.method, false)) {
        return std::vector<bool>(queries.rows, true);
    }
    std::vector<QueryReport> reports(queries.rows);
    std::vector<float> scores(queries.rows);
    std::vector<idx_t> labels(queries.rows);
    search_base(base, plan, queries, 1, {scores.data(), labels.data()}, params,
                reports.data());
    std::vector<bool> gates(queries.rows);
    for (idx_t i = 0; i < queries.rows; i++) gates[i] = reports[i].open;
    return gates;
}

float sign_of(Metric metric) {
    return metric == Metric::l2 ? -1.0F : 1.0F;
}

using Hits = std::vector<std::vector<RangeHit>>;

/// What a search by the base's own distances is made with.
struct Asked {
    const faiss::Index& index;
    const SearchPlan& plan;
    const MatrixView& queries;
    const faiss::SearchParameters* params;
};

void range_search(const Asked& asked, const MatrixView& queries, float radius,
                  faiss::RangeSearchResult& found) {
    try {
        asked.index.range_search(queries.rows, queries.data, radius, &found,
                                 asked.params);
    } catch (const faiss::FaissException& problem) {
        fail(
            "the base index's range_search failed; where it has none, search "
            "with a large k instead. FAISS says: ",
            problem.what());
    }
}

/// Searches for the queries whose gate is `open`, and returns how many items
/// the base brought.
idx_t search_group(const Asked& asked, const std::vector<bool>& gates,
                   bool open, float least, Hits& hits) {
    std::vector<idx_t> members;
    std::vector<float> rows;
    for (idx_t i = 0; i < asked.queries.rows; i++) {
        if (gates[i] != open) continue;
        members.push_back(i);
        rows.insert(rows.end(), asked.queries.row(i), asked.queries.row(i + 1));
    }
    const auto n = static_cast<idx_t>(members.size());
    if (n == 0) return 0;
    const SearchPlan& plan = asked.plan;
    const float sign = sign_of(plan.metric);
    faiss::RangeSearchResult found(n);
    range_search(asked, {rows.data(), n, asked.queries.d},
                 sign * (open ? raw_bound(least, plan.least_offset) : least),
                 found);
    const auto items = static_cast<idx_t>(plan.column.offsets.size());
    for (idx_t i = 0; i < n; i++) {
        for (size_t j = found.lims[i]; j < found.lims[i + 1]; j++) {
            const idx_t label = found.labels[j];
            require(label >= 0 && label < items, "the base index holds label ",
                    label, " but the table covers ", items, " items");
            float score = sign * found.distances[j];
            if (open) score -= plan.column.offsets[label];
            if (score > least) hits[members[i]].push_back({score, label});
        }
    }
    return static_cast<idx_t>(found.lims[n]);
}

// How many items of a flat index the parameters let pass.
idx_t selected(const MatrixView& vectors,
               const faiss::SearchParameters* params) {
    if (!params || !params->sel) return vectors.rows;
    idx_t passing = 0;
    for (idx_t i = 0; i < vectors.rows; i++) {
        passing += params->sel->is_member(i) ? 1 : 0;
    }
    return passing;
}

bool sees_all_items(const Asked& asked) {
    const auto* ivf = scannable_ivf(asked.index, asked.params);
    return ivf ? probes_all_lists(*ivf, asked.params)
               : returns_exact_top_k(asked.index, asked.params);
}

void write(const Hits& hits, Metric metric, faiss::RangeSearchResult* result) {
    // Counts, of which the allocation makes limits.
    for (size_t i = 0; i < hits.size(); i++) result->lims[i] = hits[i].size();
    result->do_allocation();
    size_t slot = 0;
    for (const auto& row : hits) {
        for (const RangeHit& hit : row) {
            result->distances[slot] =
                metric == Metric::l2 ? 0 - hit.score : hit.score;
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
    const Asked asked{innermost(base), plan, there.view(),
                      innermost_params(base, params)};
    const float least = sign_of(plan.metric) * radius;
    QBNormSearchStats stats;
    stats.queries = queries.rows;
    stats.open_gates = std::count(gates.begin(), gates.end(), true);
    Hits hits(queries.rows);
    if (const auto flat = flat_vectors(asked.index)) {
        hits = range_search_flat(*flat, plan, asked.queries, gates, least,
                                 asked.params ? asked.params->sel : nullptr);
        stats.candidates = queries.rows * selected(*flat, asked.params);
    } else {
        for (const bool open : {false, true}) {
            stats.candidates += search_group(asked, gates, open, least, hits);
        }
    }
    stats.certified = sees_all_items(asked) ? queries.rows : 0;
    write(hits, plan.metric, result);
    return stats;
}

}  // namespace faiss_qbnorm
