#include <faiss/impl/FaissException.h>

#include <string>

#include "faiss_qbnorm/IndexQBNorm.h"

// The calls that are the base's own, or refused.

namespace faiss_qbnorm {

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

// ---- what would leave the table behind, once a bank is set ----

void IndexQBNorm::require_unfitted(const char* call,
                                   const char* instead) const {
    if (!is_fitted()) return;
    throw faiss::FaissException(std::string(call) +
                                " is not possible on a fitted IndexQBNorm; " +
                                instead);
}

void IndexQBNorm::add_with_ids(idx_t n, const float* x, const idx_t* xids) {
    require_unfitted("add_with_ids",
                     "put it inside an ID map (idmap->index = new "
                     "IndexQBNorm(idmap->index)) and call the map's");
    base_index->add_with_ids(n, x, xids);
    sync_with_base();
}

#if QBNORM_FAISS_VERSION >= 11000
void IndexQBNorm::add_sa_codes(idx_t n, const std::uint8_t* codes,
                               const idx_t* xids) {
    require_unfitted("add_sa_codes", "decode with sa_decode, then add");
    base_index->add_sa_codes(n, codes, xids);
    sync_with_base();
}
#endif

#ifdef QBNORM_EX
void IndexQBNorm::QBNORM_EX(train)(idx_t n, const void* x,
                                   faiss::NumericType type) {
    if (type == faiss::NumericType::Float32) {
        train(n, static_cast<const float*>(x));
        return;
    }
    require_unfitted("training in another type than float32", "convert first");
    base_index->QBNORM_EX(train)(n, x, type);
    sync_with_base();
}

void IndexQBNorm::QBNORM_EX(add)(idx_t n, const void* x,
                                 faiss::NumericType type) {
    if (type == faiss::NumericType::Float32) {
        add(n, static_cast<const float*>(x));
        return;
    }
    require_unfitted("adding in another type than float32", "convert first");
    base_index->QBNORM_EX(add)(n, x, type);
    sync_with_base();
}

void IndexQBNorm::QBNORM_EX(add_with_ids)(idx_t n, const void* x,
                                          faiss::NumericType type,
                                          const idx_t* xids) {
    if (type == faiss::NumericType::Float32) {
        add_with_ids(n, static_cast<const float*>(x), xids);
        return;
    }
    require_unfitted("adding in another type than float32", "convert first");
    base_index->QBNORM_EX(add_with_ids)(n, x, type, xids);
    sync_with_base();
}
#endif

// ---- training with queries: the base's, then ours ----

#if QBNORM_FAISS_VERSION == 11401
void IndexQBNorm::train(idx_t n, const float* x, idx_t n_train_q,
                        const float* xq_train) {
    base_index->train(n, x, n_train_q, xq_train);
    fit_after_training();
}
#elif QBNORM_FAISS_VERSION >= 11402
void IndexQBNorm::train_with_queries(idx_t n, const float* x, idx_t n_train_q,
                                     const float* xq_train) {
    base_index->train_with_queries(n, x, n_train_q, xq_train);
    fit_after_training();
}
#endif

}  // namespace faiss_qbnorm
