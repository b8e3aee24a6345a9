#include "faiss_qbnorm/faiss/gpu_candidates.h"

#include <faiss/gpu/GpuIndex.h>
#include <faiss/gpu/GpuResources.h>

#include <algorithm>

#include "cuda/device.h"
#include "cuda/rerank.h"

namespace faiss_qbnorm {

namespace {

/// What FAISS's own selection on GPUs gives at most.
constexpr idx_t most_candidates = 2048;

cudaStream_t stream_of(const faiss::gpu::GpuIndex& index) {
    // FAISS gives a const index's resources only to non-const callers.
    auto& resources = const_cast<faiss::gpu::GpuIndex&>(index);
    return resources.getResources()->getDefaultStream(index.getDevice());
}

}  // namespace

bool rerank_on_its_device(const faiss::Index& index, const BoundTable& table,
                          Metric metric, Method method,
                          const MatrixView& queries, idx_t candidates, idx_t k,
                          const Answers& answers,
                          const faiss::SearchParameters* params) {
    const auto* gpu = dynamic_cast<const faiss::gpu::GpuIndex*>(&index);
    if (!gpu || gpu->getDevice() != device_of(table)) return false;
    const cuda::DeviceScope scope(gpu->getDevice());
    const cudaStream_t stream = stream_of(*gpu);
    const idx_t nq = queries.rows;
    candidates = std::min(candidates, std::max(most_candidates, k));
    cuda::DeviceArray<float> distances(nq * candidates);
    cuda::DeviceArray<idx_t> labels(nq * candidates);
    cuda::DeviceArray<float> best_distances(nq * k);
    cuda::DeviceArray<idx_t> best_labels(nq * k);
    cuda::DeviceArray<unsigned long long> first_bad(1);
    unsigned long long bad = ~0ULL;
    cuda::to_device(first_bad.data(), &bad, 1, stream);
    gpu->search(nq, queries.data, candidates, distances.data(), labels.data(),
                params);
    rerank_on_device(
        table, metric, method,
        {nq, candidates, distances.data(), labels.data(), k,
         best_distances.data(), best_labels.data(), first_bad.data()},
        stream);
    cuda::to_host(answers.scores, best_distances.data(), nq * k, stream);
    cuda::to_host(answers.labels, best_labels.data(), nq * k, stream);
    cuda::to_host(&bad, first_bad.data(), 1, stream);
    cuda::check(cudaStreamSynchronize(stream), "reranking");
    require(bad == ~0ULL, "the base index gave query ",
            static_cast<idx_t>(bad) / std::max<idx_t>(candidates, 1),
            " a label that is not in the table, or a distance of NaN or Inf");
    if (metric == Metric::l2) {
        for (idx_t i = 0; i < nq * k; i++) {
            answers.scores[i] = -answers.scores[i];
        }
    }
    return true;
}

}  // namespace faiss_qbnorm
