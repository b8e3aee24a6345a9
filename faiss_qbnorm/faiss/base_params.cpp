#include "faiss_qbnorm/faiss/base_params.h"

#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVF.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexPreTransform.h>

#include <typeinfo>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/faiss/unwrap.h"

namespace faiss_qbnorm {

namespace {

using ParamsPtr = std::unique_ptr<faiss::SearchParameters>;

// Not in every FAISS.
template <class HNSW, class Params>
void copy_queue_kind(const HNSW& hnsw, Params& params) {
    if constexpr (requires { params.bounded_queue; }) {
        params.bounded_queue = hnsw.search_bounded_queue;
    }
}

/// What the index's search uses where it is given nothing.
ParamsPtr default_params(const faiss::Index& index) {
    if (const auto* pq = dynamic_cast<const faiss::IndexIVFPQ*>(&index)) {
        auto params = std::make_unique<faiss::IVFPQSearchParameters>();
        params->nprobe = pq->nprobe;
        params->max_codes = pq->max_codes;
        params->scan_table_threshold = pq->scan_table_threshold;
        params->polysemous_ht = pq->polysemous_ht;
        return params;
    }
    if (const auto* ivf = dynamic_cast<const faiss::IndexIVF*>(&index)) {
        auto params = std::make_unique<faiss::SearchParametersIVF>();
        params->nprobe = ivf->nprobe;
        params->max_codes = ivf->max_codes;
        return params;
    }
    if (const auto* hnsw = dynamic_cast<const faiss::IndexHNSW*>(&index)) {
        auto params = std::make_unique<faiss::SearchParametersHNSW>();
        params->efSearch = hnsw->hnsw.efSearch;
        params->check_relative_distance = hnsw->hnsw.check_relative_distance;
        copy_queue_kind(hnsw->hnsw, *params);
        return params;
    }
    return std::make_unique<faiss::SearchParameters>();
}

// Only where nothing is lost: of exactly this type.
template <class Type>
bool copy_as(const faiss::SearchParameters& given, ParamsPtr& copy) {
    if (typeid(given) != typeid(Type)) return false;
    copy = std::make_unique<Type>(static_cast<const Type&>(given));
    return true;
}

ParamsPtr copy_of(const faiss::SearchParameters& given) {
    ParamsPtr copy;
    require(copy_as<faiss::SearchParameters>(given, copy) ||
                copy_as<faiss::SearchParametersIVF>(given, copy) ||
                copy_as<faiss::IVFPQSearchParameters>(given, copy) ||
                copy_as<faiss::SearchParametersHNSW>(given, copy),
            "an IDSelector beside base_index_params of this type is not "
            "supported; put it into base_index_params");
    return copy;
}

}  // namespace

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

BaseParams::BaseParams(const faiss::Index& base, faiss::IDSelector* sel,
                       const faiss::SearchParameters* given)
    : params_(given) {
    if (!sel) return;
    // An IndexPreTransform hands what it does not know to its index.
    const auto* inner = innermost_params(base, given);
    require(!inner || !inner->sel,
            "both the search parameters and their base_index_params have an "
            "IDSelector; give one");
    copy_ = inner ? copy_of(*inner) : default_params(innermost(base));
    copy_->sel = sel;
    params_ = copy_.get();
}

}  // namespace faiss_qbnorm
