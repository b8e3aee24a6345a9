#include "faiss_qbnorm/fold/search_folded.h"

#include <faiss/IndexRefine.h>
#include <faiss/impl/FaissAssert.h>

#include <algorithm>
#include <vector>

#include "faiss_qbnorm/fold/fold_transform.h"

namespace faiss_qbnorm {

namespace {

const faiss::IndexPreTransform& require_behind_one(const faiss::Index& index) {
    const faiss::IndexPreTransform* one = as_behind_one(index);
    FAISS_THROW_IF_NOT_MSG(
        one, "this is no folded index; make one with qbnorm fold");
    return *one;
}

void search_raw(const faiss::Index& folded, idx_t n, const float* x, idx_t k,
                float* distances, idx_t* labels,
                const faiss::SearchParameters* params) {
    const auto* refine = dynamic_cast<const faiss::IndexRefine*>(&folded);
    faiss::IndexPreTransform raw = behind_zero(
        require_behind_one(refine ? *refine->refine_index : folded));
    if (!refine) {
        raw.search(n, x, k, distances, labels, params);
        return;
    }
    faiss::IndexRefine raw_refine(refine->base_index, &raw);
    raw_refine.k_factor = refine->k_factor;
    raw_refine.search(n, x, k, distances, labels, params);
}

}  // namespace

void search_folded(const faiss::Index& folded, const ActivationSet& activation,
                   idx_t n, const float* x, idx_t k, float* distances,
                   idx_t* labels, const faiss::SearchParameters* params) {
    FAISS_THROW_IF_NOT_MSG(
        activation.words().size() == ActivationSet::words_for(folded.ntotal),
        "the activation set is not one of this index's vectors");
    FAISS_THROW_IF_NOT_MSG(k > 0, "k must be at least 1");
    search_raw(folded, n, x, k, distances, labels, params);

    const auto d = static_cast<idx_t>(folded.d);
    std::vector<idx_t> open;
    std::vector<float> queries;
    for (idx_t i = 0; i < n; i++) {
        const idx_t top1 = labels[i * k];
        if (top1 < 0 || !activation.contains(top1)) continue;
        open.push_back(i);
        queries.insert(queries.end(), x + i * d, x + (i + 1) * d);
    }
    if (open.empty()) return;
    const auto rows = static_cast<idx_t>(open.size());
    std::vector<float> open_distances(rows * k);
    std::vector<idx_t> open_labels(rows * k);
    folded.search(rows, queries.data(), k, open_distances.data(),
                  open_labels.data(), params);
    for (idx_t i = 0; i < rows; i++) {
        std::copy_n(&open_distances[i * k], k, distances + open[i] * k);
        std::copy_n(&open_labels[i * k], k, labels + open[i] * k);
    }
}

}  // namespace faiss_qbnorm
