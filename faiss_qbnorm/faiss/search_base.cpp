#include "faiss_qbnorm/faiss/search_base.h"

#include <faiss/IndexHNSW.h>
#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/IDSelector.h>

#include <algorithm>
#include <cmath>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/faiss/base_gallery.h"
#include "faiss_qbnorm/faiss/base_params.h"
#include "faiss_qbnorm/faiss/base_scores.h"
#include "faiss_qbnorm/faiss/gpu_candidates.h"
#include "faiss_qbnorm/faiss/scan_ivf.h"
#include "faiss_qbnorm/faiss/unwrap.h"
#include "faiss_qbnorm/search.h"

namespace faiss_qbnorm {

namespace {

/// An index, and queries and parameters as it takes them.
struct Asked {
    const faiss::Index& index;
    const MatrixView& queries;
    const faiss::SearchParameters* params;
};

/// A flat base's rows that a selector lets pass, in blocks.
void for_each_selected_block(const MatrixView& vectors,
                             const faiss::IDSelector& selector,
                             const BlockVisitor& visit) {
    const auto step = static_cast<size_t>(default_block_rows(vectors.d));
    std::vector<float> rows;
    std::vector<idx_t> labels;
    const auto flush = [&] {
        const auto n = static_cast<idx_t>(labels.size());
        if (n == 0) return;
        rows.resize(n * vectors.d);
#pragma omp parallel for
        for (idx_t i = 0; i < n; i++) {
            std::copy_n(vectors.row(labels[i]), vectors.d,
                        rows.data() + i * vectors.d);
        }
        visit({{rows.data(), n, vectors.d}, 0, labels.data()});
        labels.clear();
    };
    for (idx_t i = 0; i < vectors.rows; i++) {
        if (!selector.is_member(i)) continue;
        labels.push_back(i);
        if (labels.size() == step) flush();
    }
    flush();
}

idx_t candidates_of(const faiss::Index& index,
                    const faiss::SearchParameters* params,
                    const SearchPlan& plan, idx_t k) {
    require(std::isfinite(plan.k_factor) && plan.k_factor >= 1, "k_factor is ",
            plan.k_factor, " but must be at least 1");
    const idx_t ntotal = index.ntotal;
    const double wanted = std::ceil(static_cast<double>(k) * plan.k_factor);
    if (wanted >= static_cast<double>(ntotal)) return ntotal;
    idx_t candidates =
        std::max(static_cast<idx_t>(wanted), plan.min_candidates);
    if (const auto* hnsw = dynamic_cast<const faiss::IndexHNSW*>(&index)) {
        const auto* given =
            dynamic_cast<const faiss::SearchParametersHNSW*>(params);
        candidates = std::max<idx_t>(
            candidates, given ? given->efSearch : hnsw->hnsw.efSearch);
    }
    return std::min(candidates, ntotal);
}

/// Where the index's candidates are on the device that holds the table.
bool rerank_all_on_its_device(const Asked& asked, const SearchPlan& plan,
                              idx_t candidates, idx_t batch, idx_t k,
                              const Answers& answers) {
    if (candidates == 0) return false;
    for (idx_t first = 0; first < asked.queries.rows; first += batch) {
        const idx_t last = std::min(first + batch, asked.queries.rows);
        if (!rerank_on_its_device(
                asked.index, plan.bound_table, plan.metric, plan.method,
                asked.queries.slice(first, last), candidates, k,
                {answers.scores + first * k, answers.labels + first * k},
                asked.params)) {
            return false;
        }
    }
    return asked.queries.rows > 0;
}

/// One query's candidates and the answer they gave.
struct Reranked {
    const float* scores;
    const idx_t* labels;
    idx_t size;
    const float* answer;
    const idx_t* answer_labels;
    idx_t k;
};

QueryReport report_of(const SearchPlan& plan, const Reranked& reranked,
                      bool exact_base) {
    Scored top1;
    float last = std::numeric_limits<float>::infinity();
    QueryReport report;
    for (idx_t i = 0; i < reranked.size; i++) {
        const Scored item{reranked.scores[i], reranked.labels[i]};
        if (item.label < 0) continue;
        report.candidates++;
        last = std::min(last, item.score);
        if (top1.label < 0 || ranks_before(item, top1)) top1 = item;
    }
    report.open = top1.label >= 0 &&
                  Gate{plan.method, plan.column.activation}.opens(top1.label);
    // An item that the base did not bring scores `last` at most.
    const bool brought_all = report.candidates < reranked.size;
    const float unseen = report.open ? last - plan.least_offset : last;
    const bool full = reranked.answer_labels[reranked.k - 1] >= 0;
    report.certified =
        exact_base &&
        (brought_all || (full && reranked.answer[reranked.k - 1] >= unseen));
    return report;
}

void search_candidates(const Asked& asked, const SearchPlan& plan, idx_t k,
                       const Answers& answers, QueryReport* reports) {
    const MatrixView& queries = asked.queries;
    require_scores(asked.index, asked.params);
    const idx_t candidates = candidates_of(asked.index, asked.params, plan, k);
    const idx_t batch = query_batch(candidates);
    // What a report looks at does not stay on a device.
    if (!reports &&
        rerank_all_on_its_device(asked, plan, candidates, batch, k, answers)) {
        return;
    }
    const bool exact = returns_exact_top_k(asked.index, asked.params);
    const bool all = candidates == asked.index.ntotal;
    std::vector<float> scores;
    std::vector<idx_t> labels;
    for (idx_t first = 0; first < queries.rows; first += batch) {
        const idx_t n = std::min(batch, queries.rows - first);
        scores.resize(n * candidates);
        labels.resize(n * candidates);
        if (candidates > 0) {  // FAISS takes no k = 0
            asked.index.search(n, queries.row(first), candidates, scores.data(),
                               labels.data(), asked.params);
        }
        if (plan.metric == Metric::l2) {
            for (float& score : scores) score = -score;
        }
        const Answers here{answers.scores + first * k,
                           answers.labels + first * k};
        plan.engine.rerank(plan.bound_table, plan.method,
                           {n, candidates, scores.data(), labels.data(), first},
                           k, here);
        for (idx_t i = 0; reports && i < n; i++) {
            QueryReport& report = reports[first + i];
            report = report_of(
                plan,
                {&scores[i * candidates], &labels[i * candidates], candidates,
                 here.scores + i * k, here.labels + i * k, k},
                exact);
            report.certified = report.certified || (exact && all);
        }
    }
}

void search_flat(const MatrixView& vectors, const Asked& asked,
                 const SearchPlan& plan, idx_t k, const Answers& answers,
                 QueryReport* reports) {
    const Engine& engine = plan.engine;
    const faiss::IDSelector* selector =
        asked.params ? asked.params->sel : nullptr;
    const bool is_bound =
        plan.bound_gallery && plan.bound_vectors == vectors.data;
    const auto bound_here = is_bound || selector
                                ? nullptr
                                : engine.bind_gallery(plan.metric, {vectors});
    const idx_t nq = asked.queries.rows;
    const idx_t listed = std::min(k, vectors.rows);
    const idx_t batch = query_batch(listed);
    const Gate gate{plan.method, plan.column.activation};
    std::vector<std::uint8_t> gates(std::min(batch, nq));
    for (idx_t first = 0; first < nq; first += batch) {
        const idx_t last = std::min(first + batch, nq);
        const MatrixView queries = asked.queries.slice(first, last);
        ScanState state = begin_scan(last - first, listed, true);
        state.gate = selector ? nullptr : &gate;  // of one block, or of many
        idx_t scanned = vectors.rows;
        if (selector) {
            scanned = 0;
            for_each_selected_block(
                vectors, *selector, [&](const GalleryBlock& block) {
                    scanned += block.vectors.rows;
                    engine.scan(*engine.bind_gallery(plan.metric, block),
                                &plan.bound_table, queries, state);
                });
        } else {
            engine.scan(is_bound ? *plan.bound_gallery : *bound_here,
                        &plan.bound_table, queries, state);
        }
        finish_scan(state, &gate, k,
                    {answers.scores + first * k, answers.labels + first * k},
                    gates.data());
        for (idx_t i = first; reports && i < last; i++) {
            reports[i] = {gates[i - first] != 0, scanned, true};
        }
        faiss::InterruptCallback::check();
    }
}

}  // namespace

QBNormSearchStats stats_of(std::span<const QueryReport> reports) {
    QBNormSearchStats stats;
    for (const QueryReport& report : reports) {
        stats.queries++;
        stats.open_gates += report.open ? 1 : 0;
        stats.candidates += report.candidates;
        stats.certified += report.certified ? 1 : 0;
    }
    return stats;
}

idx_t candidates_of(const faiss::Index& base, const SearchPlan& plan, idx_t k,
                    const faiss::SearchParameters* params) {
    return candidates_of(innermost(base), innermost_params(base, params), plan,
                         k);
}

void search_base(const faiss::Index& base, const SearchPlan& plan,
                 const MatrixView& queries, idx_t k, const Answers& answers,
                 const faiss::SearchParameters* params, QueryReport* reports) {
    const Transformed transformed(base, queries);
    const Asked asked{innermost(base), transformed.view(),
                      innermost_params(base, params)};
    if (const auto flat = flat_vectors(asked.index)) {
        search_flat(*flat, asked, plan, k, answers, reports);
    } else if (const auto* ivf = scannable_ivf(asked.index, asked.params)) {
        scan_ivf(*ivf, plan, asked.queries, k, answers, asked.params, reports);
    } else {
        search_candidates(asked, plan, k, answers, reports);
    }
}

}  // namespace faiss_qbnorm
