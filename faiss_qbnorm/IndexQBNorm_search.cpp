#include <faiss/IndexIVF.h>
#include <faiss/impl/DistanceComputer.h>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/faiss/as_faiss.h"
#include "faiss_qbnorm/faiss/base_params.h"
#include "faiss_qbnorm/faiss/offset_distance.h"
#include "faiss_qbnorm/faiss/range_base.h"
#include "faiss_qbnorm/faiss/search_base.h"
#include "faiss_qbnorm/faiss/search_dualdis.h"
#include "faiss_qbnorm/faiss/unwrap.h"
#include "faiss_qbnorm/search.h"

// The calls that rank.

namespace faiss_qbnorm {

/// What the parameters of a call come to.
struct IndexQBNorm::Call {
    Method method;
    Bank bank;
    float k_factor;
    BaseParams base;
    QBNormSearchStats* stats;
};

IndexQBNorm::Call IndexQBNorm::call_of(
    const faiss::SearchParameters* params) const {
    const auto* given = dynamic_cast<const SearchParametersQBNorm*>(params);
    if (!given) {
        return {normalization.method, Bank::querybank, k_factor,
                BaseParams(*base_index, nullptr, params), nullptr};
    }
    return {given->method.value_or(normalization.method), given->bank,
            given->k_factor == 0 ? k_factor : given->k_factor,
            BaseParams(*base_index, given->sel, given->base_index_params),
            given->stats};
}

void IndexQBNorm::check_searchable(const Call& call) const {
    require(table() != nullptr,
            "this index has no fitted querybank; call set_querybank, or set "
            "normalization.method = none for raw answers");
    require(base_index->is_trained, "the base index is not trained");
    require(table()->items() == base_index->ntotal, "base_index has ",
            base_index->ntotal, " vectors but the table covers ",
            table()->items(),
            "; add through IndexQBNorm or call set_querybank again");
    check_serves(*table(), call.method, call.bank);
    if (call.bank != Bank::querybank) return;
    check(normalization);
    const Normalization& fitted = normalization_of(*table());
    Normalization asked = normalization;
    asked.method = call.method;
    require(same_fit(asked, fitted), "normalization is ", to_string(asked),
            " but the index was fitted for ", to_string(fitted),
            "; call set_querybank again");
}

const IndexQBNorm::BoundColumn& IndexQBNorm::column_for(
    const Call& call) const {
    if (is_dual(call.method)) return fitted_.columns.back();
    const BankColumn& column = column_of(*table(), call.bank);
    return fitted_.columns[&column - table()->columns.data()];
}

SearchPlan IndexQBNorm::plan_of(const Call& call) const {
    const BoundColumn& bound = column_for(call);
    const Method method =
        call.method == Method::dualdis ? Method::dualis : call.method;
    return {*engine_,           table()->metric, bound.column,
            bound.least_offset, *bound.table,    bound_gallery_.get(),
            bound_vectors_,     method,          call.k_factor,
            min_candidates};
}

void IndexQBNorm::search(idx_t n, const float* x, idx_t k, float* distances,
                         idx_t* labels,
                         const faiss::SearchParameters* params) const {
    as_faiss([&] {
        const Call call = call_of(params);
        if (call.method == Method::none) {
            base_index->search(n, x, k, distances, labels, call.base.get());
            if (call.stats) *call.stats = {n};
            return;
        }
        require(n >= 0 && k > 0, "n is ", n, " and k is ", k,
                " but must be at least 0 and 1");
        check_searchable(call);
        check_finite(view(n, x), "queries");
        std::vector<QueryReport> reports(call.stats ? n : 0);
        QueryReport* const report = call.stats ? reports.data() : nullptr;
        if (call.method == Method::dualdis) {
            search_dualdis(*base_index, plan_of(call), *table(), view(n, x), k,
                           {distances, labels}, call.base.get(), report);
        } else {
            search_base(*base_index, plan_of(call), view(n, x), k,
                        {distances, labels}, call.base.get(), report);
        }
        scores_to_distances(table()->metric, n * k, labels, distances);
        if (call.stats) *call.stats = stats_of(reports);
    });
}

void IndexQBNorm::range_search(idx_t n, const float* x, float radius,
                               faiss::RangeSearchResult* result,
                               const faiss::SearchParameters* params) const {
    as_faiss([&] {
        const Call call = call_of(params);
        if (call.method == Method::none) {
            base_index->range_search(n, x, radius, result, call.base.get());
            if (call.stats) *call.stats = {n};
            return;
        }
        require(n >= 0 && result != nullptr, "n is ", n,
                " but must be at least 0, and the result not a null pointer");
        require(call.method != Method::dualdis,
                "range_search has no meaning under dualdis, whose scores are "
                "products of several kinds; set normalization.method = dualis");
        check_searchable(call);
        check_finite(view(n, x), "queries");
        const QBNormSearchStats stats =
            range_search_base(*base_index, plan_of(call), view(n, x), radius,
                              result, call.base.get());
        if (call.stats) *call.stats = stats;
    });
}

void IndexQBNorm::assign(idx_t n, const float* x, idx_t* labels,
                         idx_t k) const {
    if (normalization.method == Method::none) {
        base_index->assign(n, x, labels, k);
    } else {
        Index::assign(n, x, labels, k);
    }
}

void IndexQBNorm::search_and_reconstruct(
    idx_t n, const float* x, idx_t k, float* distances, idx_t* labels,
    float* recons, const faiss::SearchParameters* params) const {
    as_faiss([&] {
        const Call call = call_of(params);
        if (call.method == Method::none) {
            base_index->search_and_reconstruct(n, x, k, distances, labels,
                                               recons, call.base.get());
            if (call.stats) *call.stats = {n};
            return;
        }
        const auto* ivf =
            dynamic_cast<const faiss::IndexIVF*>(&innermost(*base_index));
        const bool has_holes = table() && table()->holes > 0;
        require(!ivf || !ivf->direct_map.no(),
                "search_and_reconstruct over an IVF base needs its direct map; "
                "call ",
                has_holes ? "set_direct_map_type(DirectMap::Hashtable)"
                          : "make_direct_map()",
                " on the base");
        Index::search_and_reconstruct(n, x, k, distances, labels, recons,
                                      params);
    });
}

namespace {

std::unique_ptr<faiss::DistanceComputer> distance_computer_of(
    const faiss::Index& base) {
    try {
        return std::unique_ptr<faiss::DistanceComputer>(
            base.get_distance_computer());
    } catch (const faiss::FaissException& problem) {
        fail(
            "the base index has no distance computer; use search. FAISS says: ",
            problem.what());
    }
}

}  // namespace

faiss::DistanceComputer* IndexQBNorm::get_distance_computer() const {
    if (normalization.method == Method::none) {
        return base_index->get_distance_computer();
    }
    return as_faiss([&]() -> faiss::DistanceComputer* {
        const Call call = call_of(nullptr);
        check_searchable(call);
        require(!is_gated(call.method),
                "get_distance_computer has no meaning under ",
                name_of(call.method),
                ", whose gate needs a search; set normalization.method = is, "
                "or none for the base's own");
        return new OffsetDistance(distance_computer_of(*base_index),
                                  table()->metric,
                                  column_for(call).column.offsets);
    });
}

#ifdef QBNORM_EX
void IndexQBNorm::QBNORM_EX(search)(
    idx_t n, const void* x, faiss::NumericType type, idx_t k, float* distances,
    idx_t* labels, const faiss::SearchParameters* params) const {
    if (type == faiss::NumericType::Float32) {
        search(n, static_cast<const float*>(x), k, distances, labels, params);
        return;
    }
    as_faiss([&] {
        const Call call = call_of(params);
        require(call.method == Method::none,
                "normalised searches take float32 queries; convert them");
        base_index->QBNORM_EX(search)(n, x, type, k, distances, labels,
                                      call.base.get());
    });
}
#endif

#if QBNORM_FAISS_VERSION >= 11302
void IndexQBNorm::search_subset(idx_t n, const float* x, idx_t k_base,
                                const idx_t* base_labels, idx_t k,
                                float* distances, idx_t* labels) const {
    if (normalization.method == Method::none) {
        base_index->search_subset(n, x, k_base, base_labels, k, distances,
                                  labels);
        return;
    }
    as_faiss([&] {
        require(k > 0 && k_base > 0, "k is ", k, " and k_base ", k_base,
                " but both must be at least 1");
        const Call call = call_of(nullptr);
        check_searchable(call);
        check_finite(view(n, x), "queries");
        require(call.method != Method::dualdis,
                "search_subset does not do dualdis; use search");
        const SearchPlan plan = plan_of(call);
        std::vector<float> scores(n * k_base);
        std::vector<idx_t> candidates(n * k_base);
        base_index->search_subset(n, x, k_base, base_labels, k_base,
                                  scores.data(), candidates.data());
        if (plan.metric == Metric::l2) {
            for (float& score : scores) score = -score;
        }
        plan.engine.rerank(plan.bound_table, plan.method,
                           {n, k_base, scores.data(), candidates.data()}, k,
                           {distances, labels});
        scores_to_distances(plan.metric, n * k, labels, distances);
    });
}
#endif

#if QBNORM_FAISS_HAS_SEARCH1
void IndexQBNorm::search1(const float* x, faiss::ResultHandler& handler,
                          faiss::SearchParameters* params) const {
    as_faiss([&] {
        require(normalization.method == Method::none,
                "search1 hands results on before the gate is known; use "
                "search, or set normalization.method = none");
        base_index->search1(x, handler, params);
    });
}
#endif

}  // namespace faiss_qbnorm
