#include "faiss_qbnorm/faiss/search_base.h"

#include <faiss/IndexHNSW.h>
#include <faiss/IndexPQ.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/IDSelector.h>

#include <algorithm>
#include <cmath>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/faiss/base_gallery.h"
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

const faiss::SearchParameters* innermost_params(
    const faiss::Index& base, const faiss::SearchParameters* params) {
    const auto* pre = dynamic_cast<const faiss::IndexPreTransform*>(&base);
    if (!pre) return params;
    if (const auto* outer =
            dynamic_cast<const faiss::SearchParametersPreTransform*>(params)) {
        params = outer->index_params;
    }
    return innermost_params(*pre->index, params);
}

/// A flat base's rows that a selector lets pass, in blocks.
void for_each_selected_block(const MatrixView& vectors,
                             const faiss::IDSelector& selector,
                             const BlockVisitor& visit) {
    const idx_t step = default_block_rows(vectors.d);
    std::vector<float> rows;
    std::vector<idx_t> labels;
    const auto flush = [&] {
        const auto n = static_cast<idx_t>(labels.size());
        if (n > 0) visit({{rows.data(), n, vectors.d}, 0, labels.data()});
        rows.clear();
        labels.clear();
    };
    for (idx_t i = 0; i < vectors.rows; i++) {
        if (!selector.is_member(i)) continue;
        rows.insert(rows.end(), vectors.row(i), vectors.row(i + 1));
        labels.push_back(i);
        if (static_cast<idx_t>(labels.size()) == step) flush();
    }
    flush();
}

idx_t candidates_of(const Asked& asked, const SearchPlan& plan, idx_t k) {
    require(std::isfinite(plan.k_factor) && plan.k_factor >= 1, "k_factor is ",
            plan.k_factor, " but must be at least 1");
    const idx_t ntotal = asked.index.ntotal;
    const double wanted = std::ceil(static_cast<double>(k) * plan.k_factor);
    if (wanted >= static_cast<double>(ntotal)) return ntotal;
    idx_t candidates =
        std::max(static_cast<idx_t>(wanted), plan.min_candidates);
    if (const auto* hnsw =
            dynamic_cast<const faiss::IndexHNSW*>(&asked.index)) {
        const auto* given =
            dynamic_cast<const faiss::SearchParametersHNSW*>(asked.params);
        candidates = std::max<idx_t>(
            candidates, given ? given->efSearch : hnsw->hnsw.efSearch);
    }
    return std::min(candidates, ntotal);
}

void require_scores(const faiss::Index& index) {
    const auto* pq = dynamic_cast<const faiss::IndexPQ*>(&index);
    require(!pq || (pq->search_type != faiss::IndexPQ::ST_HE &&
                    pq->search_type != faiss::IndexPQ::ST_generalized_HE),
            "the base index returns Hamming distances (search_type), which "
            "cannot be normalised");
}

/// Where the index's candidates are on the device that holds the table.
bool rerank_all_on_its_device(const Asked& asked, const SearchPlan& plan,
                              idx_t candidates, idx_t batch, idx_t k,
                              const Answers& answers) {
    if (candidates == 0) return false;
    for (idx_t first = 0; first < asked.queries.rows; first += batch) {
        const idx_t last = std::min(first + batch, asked.queries.rows);
        if (!rerank_on_its_device(
                asked.index, plan.bound_table, plan.table.metric, plan.method,
                asked.queries.slice(first, last), candidates, k,
                {answers.scores + first * k, answers.labels + first * k},
                asked.params)) {
            return false;
        }
    }
    return asked.queries.rows > 0;
}

void search_candidates(const Asked& asked, const SearchPlan& plan, idx_t k,
                       const Answers& answers) {
    const MatrixView& queries = asked.queries;
    require_scores(asked.index);
    const idx_t candidates = candidates_of(asked, plan, k);
    const idx_t batch = query_batch(candidates);
    if (rerank_all_on_its_device(asked, plan, candidates, batch, k, answers)) {
        return;
    }
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
        if (plan.table.metric == Metric::l2) {
            for (float& score : scores) score = -score;
        }
        plan.engine.rerank(
            plan.bound_table, plan.method,
            {n, candidates, scores.data(), labels.data(), first}, k,
            {answers.scores + first * k, answers.labels + first * k});
    }
}

void search_flat(const MatrixView& vectors, const Asked& asked,
                 const SearchPlan& plan, idx_t k, const Answers& answers) {
    const Engine& engine = plan.engine;
    const Metric metric = plan.table.metric;
    const faiss::IDSelector* selector =
        asked.params ? asked.params->sel : nullptr;
    const bool is_bound =
        plan.bound_gallery && plan.bound_vectors == vectors.data;
    const auto bound_here =
        is_bound || selector ? nullptr : engine.bind_gallery(metric, {vectors});
    const idx_t nq = asked.queries.rows;
    const idx_t listed = std::min(k, vectors.rows);
    const idx_t batch = query_batch(listed);
    for (idx_t first = 0; first < nq; first += batch) {
        const idx_t last = std::min(first + batch, nq);
        const MatrixView queries = asked.queries.slice(first, last);
        ScanState state = begin_scan(last - first, listed, true);
        if (selector) {
            for_each_selected_block(
                vectors, *selector, [&](const GalleryBlock& block) {
                    engine.scan(*engine.bind_gallery(metric, block),
                                &plan.bound_table, queries, state);
                });
        } else {
            engine.scan(is_bound ? *plan.bound_gallery : *bound_here,
                        &plan.bound_table, queries, state);
        }
        finish_scan(state, &column_of(plan.table, Bank::querybank).activation,
                    plan.method, k,
                    {answers.scores + first * k, answers.labels + first * k});
        faiss::InterruptCallback::check();
    }
}

}  // namespace

void search_base(const faiss::Index& base, const SearchPlan& plan,
                 const MatrixView& queries, idx_t k, const Answers& answers,
                 const faiss::SearchParameters* params) {
    const Transformed transformed(base, queries);
    const Asked asked{innermost(base), transformed.view(),
                      innermost_params(base, params)};
    if (const auto flat = flat_vectors(asked.index)) {
        search_flat(*flat, asked, plan, k, answers);
    } else if (const auto* ivf = scannable_ivf(asked.index, asked.params)) {
        scan_ivf(*ivf, column_of(plan.table, Bank::querybank), plan.method,
                 asked.queries, k, answers, asked.params);
    } else {
        search_candidates(asked, plan, k, answers);
    }
}

}  // namespace faiss_qbnorm
