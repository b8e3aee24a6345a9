#include "faiss_qbnorm/faiss/gpu_candidates.h"

namespace faiss_qbnorm {

bool rerank_on_its_device(const faiss::Index&, const BoundTable&, Metric,
                          Method, const MatrixView&, idx_t, idx_t,
                          const Answers&, const faiss::SearchParameters*) {
    return false;  // FAISS without GPU indexes
}

}  // namespace faiss_qbnorm
