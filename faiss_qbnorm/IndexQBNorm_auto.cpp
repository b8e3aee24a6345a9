#include "faiss_qbnorm/IndexQBNorm.h"
#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/faiss/as_faiss.h"
#include "faiss_qbnorm/faiss/base_gallery.h"
#include "faiss_qbnorm/faiss/unwrap.h"
#include "faiss_qbnorm/similarities/ranged_gallery.h"
#include "faiss_qbnorm/similarities/vector_similarities.h"

// Choosing what to fit.

namespace faiss_qbnorm {

namespace {

BetaChoice choose_for(const Gallery& gallery, Metric metric,
                      const MatrixView& bank, const MatrixView& queries,
                      std::optional<Method> method, idx_t activation_k) {
    const RangedGallery ranged(gallery);
    const VectorSimilarities of_bank(metric, ranged.get(), bank, "querybank");
    if (queries.rows == 0) {
        return choose_beta(of_bank, nullptr, method, activation_k);
    }
    const VectorSimilarities of_queries(metric, ranged.get(), queries,
                                        "queries");
    return choose_beta(of_bank, &of_queries, method, activation_k);
}

}  // namespace

BetaChoice IndexQBNorm::choose(const MatrixView& bank,
                               const MatrixView& queries,
                               std::optional<Method> method,
                               const float* gallery) const {
    const faiss::Index& inner = innermost(*base_index);
    const Transformed bank_there(*base_index, bank);
    const Transformed queries_there(*base_index, queries);
    const Metric metric = options_for(normalization).metric;
    const auto choose_by = [&](const Gallery& items) {
        return choose_for(items, metric, bank_there.view(),
                          queries_there.view(), method,
                          normalization.activation_k);
    };
    if (!gallery) return choose_by(BaseGallery(inner));
    const Transformed originals(*base_index, view(base_index->ntotal, gallery));
    return choose_by(MemoryGallery(originals.view()));
}

BetaChoice IndexQBNorm::set_querybank_auto(idx_t m, const float* bank, idx_t n,
                                           const float* queries,
                                           std::optional<Method> method,
                                           const float* gallery) {
    return as_faiss([&] {
        require(m > 0, "the querybank is empty");
        require(n >= 0, "there are ", n, " queries");
        require(base_index->is_trained && base_index->ntotal > 0,
                "beta is chosen for the vectors of the index, and it holds "
                "none; add them first");
        check_finite(view(n, queries), "queries");
        BetaChoice choice =
            choose(view(m, bank), view(n, queries), method, gallery);
        const Normalization before = normalization;
        normalization.method = choice.method;
        normalization.beta = choice.beta;
        try {
            set_querybank(m, bank, gallery);
        } catch (...) {
            normalization = before;
            throw;
        }
        return choice;
    });
}

}  // namespace faiss_qbnorm
