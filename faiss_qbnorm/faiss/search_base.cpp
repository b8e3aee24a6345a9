#include "faiss_qbnorm/faiss/search_base.h"

#include <faiss/IndexHNSW.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/IDSelector.h>

#include <algorithm>
#include <cmath>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/faiss/base_gallery.h"
#include "faiss_qbnorm/faiss/scan_ivf.h"
#include "faiss_qbnorm/search.h"

namespace faiss_qbnorm {

namespace {

/// The index behind any IndexPreTransform, and queries and parameters as it
/// takes them.
class Unwrapped {
  public:
    Unwrapped(const faiss::Index& base, const MatrixView& queries,
              const faiss::SearchParameters* params)
        : index_(&base), queries_(queries), params_(params) {
        while (const auto* pre =
                   dynamic_cast<const faiss::IndexPreTransform*>(index_)) {
            transform(*pre);
            index_ = pre->index;
            if (const auto* wrapped =
                    dynamic_cast<const faiss::SearchParametersPreTransform*>(
                        params_)) {
                params_ = wrapped->index_params;
            }
        }
    }

    const faiss::Index& index() const { return *index_; }
    const MatrixView& queries() const { return queries_; }
    const faiss::SearchParameters* params() const { return params_; }

  private:
    void transform(const faiss::IndexPreTransform& pre) {
        const float* result = pre.apply_chain(queries_.rows, queries_.data);
        if (result != queries_.data) owned_.reset(result);
        queries_ = {result, queries_.rows, static_cast<int>(pre.index->d)};
    }

    const faiss::Index* index_;
    MatrixView queries_;
    const faiss::SearchParameters* params_;
    std::unique_ptr<const float[]> owned_;
};

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

idx_t candidates_of(const faiss::Index& index, idx_t k, float k_factor,
                    idx_t min_candidates) {
    require(std::isfinite(k_factor) && k_factor >= 1, "k_factor is ", k_factor,
            " but must be at least 1");
    const double wanted = std::ceil(static_cast<double>(k) * k_factor);
    idx_t candidates = std::max<idx_t>(min_candidates, k);
    if (const auto* hnsw = dynamic_cast<const faiss::IndexHNSW*>(&index)) {
        candidates = std::max<idx_t>(candidates, hnsw->hnsw.efSearch);
    }
    if (wanted >= static_cast<double>(index.ntotal)) return index.ntotal;
    candidates = std::max(candidates, static_cast<idx_t>(wanted));
    return std::min<idx_t>(candidates, index.ntotal);
}

void search_candidates(const Unwrapped& base, const SearchPlan& plan, idx_t k,
                       const Answers& answers) {
    const MatrixView& queries = base.queries();
    const idx_t candidates =
        candidates_of(base.index(), k, plan.k_factor, plan.min_candidates);
    const idx_t batch = query_batch(candidates);
    std::vector<float> scores;
    std::vector<idx_t> labels;
    for (idx_t first = 0; first < queries.rows; first += batch) {
        const idx_t n = std::min(batch, queries.rows - first);
        scores.resize(n * candidates);
        labels.resize(n * candidates);
        if (candidates > 0) {  // FAISS takes no k = 0
            base.index().search(n, queries.row(first), candidates,
                                scores.data(), labels.data(), base.params());
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

void search_flat(const MatrixView& vectors, const Unwrapped& base,
                 const SearchPlan& plan, idx_t k, const Answers& answers) {
    const Engine& engine = plan.engine;
    const Metric metric = plan.table.metric;
    const faiss::IDSelector* selector =
        base.params() ? base.params()->sel : nullptr;
    const bool is_bound =
        plan.bound_gallery && plan.bound_vectors == vectors.data;
    const auto bound_here =
        is_bound || selector ? nullptr : engine.bind_gallery(metric, {vectors});
    const idx_t nq = base.queries().rows;
    const idx_t batch = query_batch(k);
    for (idx_t first = 0; first < nq; first += batch) {
        const idx_t last = std::min(first + batch, nq);
        const MatrixView queries = base.queries().slice(first, last);
        ScanState state = begin_scan(last - first, k, true);
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
        finish_scan(state, &plan.table, plan.method,
                    {answers.scores + first * k, answers.labels + first * k});
        faiss::InterruptCallback::check();
    }
}

}  // namespace

void search_base(const faiss::Index& base, const SearchPlan& plan,
                 const MatrixView& queries, idx_t k, const Answers& answers,
                 const faiss::SearchParameters* params) {
    const Unwrapped unwrapped(base, queries, params);
    if (const auto flat = flat_vectors(unwrapped.index())) {
        search_flat(*flat, unwrapped, plan, k, answers);
    } else if (const auto* ivf = scannable_ivf(unwrapped.index())) {
        scan_ivf(*ivf, column_of(plan.table, Bank::querybank), plan.method,
                 unwrapped.queries(), k, answers, unwrapped.params());
    } else {
        search_candidates(unwrapped, plan, k, answers);
    }
}

}  // namespace faiss_qbnorm
