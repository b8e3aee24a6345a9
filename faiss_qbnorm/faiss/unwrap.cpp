#include "faiss_qbnorm/faiss/unwrap.h"

#include <faiss/IndexPreTransform.h>
#include <faiss/VectorTransform.h>

namespace faiss_qbnorm {

namespace {

using PreTransform = faiss::IndexPreTransform;

// A rotation, perhaps into more dimensions; a shift matters to no distance.
bool preserves(const faiss::VectorTransform& transform, Metric metric) {
    const auto* linear =
        dynamic_cast<const faiss::LinearTransform*>(&transform);
    return linear && linear->is_orthonormal && linear->d_out >= linear->d_in &&
           (metric == Metric::l2 || !linear->have_bias);
}

}  // namespace

const faiss::Index& innermost(const faiss::Index& base) {
    const auto* pre = dynamic_cast<const PreTransform*>(&base);
    return pre ? innermost(*pre->index) : base;
}

Transformed::Transformed(const faiss::Index& base, const MatrixView& vectors)
    : vectors_(vectors) {
    const faiss::Index* index = &base;
    while (const auto* pre = dynamic_cast<const PreTransform*>(index)) {
        const float* result = pre->apply_chain(vectors_.rows, vectors_.data);
        if (result != vectors_.data) owned_.reset(result);
        vectors_ = {result, vectors_.rows, static_cast<int>(pre->index->d)};
        index = pre->index;
    }
}

bool preserves_scores(const faiss::Index& base, Metric metric) {
    const faiss::Index* index = &base;
    while (const auto* pre = dynamic_cast<const PreTransform*>(index)) {
        for (const faiss::VectorTransform* transform : pre->chain) {
            if (!preserves(*transform, metric)) return false;
        }
        index = pre->index;
    }
    return true;
}

}  // namespace faiss_qbnorm
