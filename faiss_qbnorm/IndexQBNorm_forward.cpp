// The calls of IndexQBNorm that are its base's own, or refused.

#include <faiss/IndexIVF.h>
#include <faiss/impl/FaissException.h>

#include <string>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "faiss_qbnorm/faiss/unwrap.h"

namespace faiss_qbnorm {

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
    if (normalization.method == Method::none) {
        base_index->search_and_reconstruct(n, x, k, distances, labels, recons,
                                           params);
    } else {
        const auto* ivf =
            dynamic_cast<const faiss::IndexIVF*>(&innermost(*base_index));
        if (ivf && ivf->direct_map.no()) {
            throw faiss::FaissException(
                "search_and_reconstruct over an IVF base needs its direct map; "
                "call make_direct_map() on the base");
        }
        Index::search_and_reconstruct(n, x, k, distances, labels, recons,
                                      params);
    }
}

void IndexQBNorm::reconstruct(idx_t key, float* recons) const {
    base_index->reconstruct(key, recons);
}

void IndexQBNorm::reconstruct_batch(idx_t n, const idx_t* keys,
                                    float* recons) const {
    base_index->reconstruct_batch(n, keys, recons);
}

void IndexQBNorm::reconstruct_n(idx_t i0, idx_t ni, float* recons) const {
    base_index->reconstruct_n(i0, ni, recons);
}

void IndexQBNorm::compute_residual(const float* x, float* residual,
                                   idx_t key) const {
    base_index->compute_residual(x, residual, key);
}

void IndexQBNorm::compute_residual_n(idx_t n, const float* xs, float* residuals,
                                     const idx_t* keys) const {
    base_index->compute_residual_n(n, xs, residuals, keys);
}

size_t IndexQBNorm::sa_code_size() const {
    return base_index->sa_code_size();
}

void IndexQBNorm::sa_encode(idx_t n, const float* x,
                            std::uint8_t* bytes) const {
    base_index->sa_encode(n, x, bytes);
}

void IndexQBNorm::sa_decode(idx_t n, const std::uint8_t* bytes,
                            float* x) const {
    base_index->sa_decode(n, bytes, x);
}

// ---- what would be wrong, or leave the table behind, once a bank is set ----

void IndexQBNorm::require_raw(const char* call) const {
    if (normalization.method == Method::none) return;
    throw faiss::FaissException(
        std::string(call) +
        " has no normalised meaning here yet; set normalization.method = none "
        "for the base's own, or use search");
}

void IndexQBNorm::require_no_table(const char* call) const {
    if (!table_ && bank_.empty()) return;
    throw faiss::FaissException(
        std::string(call) +
        " would leave the normalisation behind the base; change base_index "
        "itself, then call set_querybank again");
}

void IndexQBNorm::range_search(idx_t n, const float* x, float radius,
                               faiss::RangeSearchResult* result,
                               const faiss::SearchParameters* params) const {
    require_raw("range_search");
    base_index->range_search(n, x, radius, result, params);
}

faiss::DistanceComputer* IndexQBNorm::get_distance_computer() const {
    require_raw("get_distance_computer");
    return base_index->get_distance_computer();
}

void IndexQBNorm::add_with_ids(idx_t n, const float* x, const idx_t* xids) {
    require_no_table("add_with_ids");
    base_index->add_with_ids(n, x, xids);
    sync_with_base();
}

size_t IndexQBNorm::remove_ids(const faiss::IDSelector& sel) {
    require_no_table("remove_ids");
    const size_t removed = base_index->remove_ids(sel);
    sync_with_base();
    return removed;
}

void IndexQBNorm::merge_from(faiss::Index& other, idx_t add_id) {
    require_no_table("merge_from");
    base_index->merge_from(other, add_id);
    sync_with_base();
}

void IndexQBNorm::check_compatible_for_merge(const faiss::Index& other) const {
    require_no_table("check_compatible_for_merge");
    base_index->check_compatible_for_merge(other);
}

}  // namespace faiss_qbnorm
