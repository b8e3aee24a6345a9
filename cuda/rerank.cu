#include "cuda/rerank.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cuda/bound.h"
#include "cuda/kernel_rerank.h"
#include "cuda/launch.h"

namespace faiss_qbnorm {

namespace cuda {

namespace {

template <int Threads, int Items>
void start(const RerankArguments& arguments, idx_t lists, cudaStream_t stream) {
    launch(kernel_rerank<Threads, Items>, dim3(static_cast<unsigned>(lists)),
           Threads, stream, arguments);
}

/// The smallest block that holds a list.
void start(const RerankArguments& arguments, idx_t lists, cudaStream_t stream) {
    if (arguments.candidates <= 128) {
        start<32, 4>(arguments, lists, stream);
    } else if (arguments.candidates <= 1024) {
        start<128, 8>(arguments, lists, stream);
    } else {
        start<256, 16>(arguments, lists, stream);
    }
}

RerankArguments arguments(const CudaTable& table, Method method,
                          idx_t candidates, idx_t k) {
    constexpr idx_t room = 4096;  // of the largest block
    require(k <= room / 2 || candidates <= room, "the cuda engine reranks ",
            candidates, " candidates to at most ", room / 2,
            " answers a query, not ", k);
    RerankArguments result{};
    result.offsets = table.offsets.data();
    result.activation = table.activation.data();
    result.begin = table.begin;
    result.size = table.end - table.begin;
    result.gated = method == Method::dis;
    result.normalised = has_offset(method);
    result.sign = 1;
    result.empty = -std::numeric_limits<float>::infinity();
    result.candidates = candidates;
    result.k = static_cast<int>(k);
    return result;
}

[[noreturn]] void refuse(const CudaTable& table, const Candidates& candidates,
                         idx_t place) {
    const idx_t row = candidates.first_row + place / candidates.k;
    const idx_t label = candidates.labels[place];
    require(label >= table.begin && label < table.end, "row ", row,
            " holds label ", label, " but the table covers labels ",
            table.begin, " to ", table.end - 1);
    fail("row ", row, " holds a score of NaN or Inf for label ", label);
}

/// Batches of host lists, copied, reranked and copied back in turns.
class HostRerank {
  public:
    HostRerank(const CudaTable& table, Method method,
               const Candidates& candidates, idx_t k, const Answers& answers,
               RerankBatch (&batches)[2])
        : table_(table),
          candidates_(candidates),
          answers_(answers),
          arguments_(arguments(table, method, candidates.k, k)),
          batches_(batches) {}

    void run(idx_t lists_at_once) {
        int turn = 0;
        for (RerankBatch& batch : batches_) batch.lists = 0;
        for (idx_t first = 0; first < candidates_.nq; first += lists_at_once) {
            RerankBatch& batch = batches_[turn++ % 2];
            finish(batch);
            begin(batch, first,
                  std::min(lists_at_once, candidates_.nq - first));
        }
        finish(batches_[turn % 2]);
        finish(batches_[(turn + 1) % 2]);
    }

  private:
    void begin(RerankBatch& batch, idx_t first, idx_t lists) {
        batch.first = first;
        batch.lists = lists;
        const idx_t in = lists * candidates_.k;
        const idx_t out = lists * arguments_.k;
        const idx_t place = first * candidates_.k;
        parallel_copy(batch.scores.reserve(in), candidates_.scores + place,
                      in * static_cast<idx_t>(sizeof(float)));
        parallel_copy(batch.labels.reserve(in), candidates_.labels + place,
                      in * static_cast<idx_t>(sizeof(idx_t)));
        *batch.first_bad.reserve(1) = none_bad;
        to_device(batch.device_scores.reserve(in), batch.scores.data(), in,
                  batch.stream);
        to_device(batch.device_labels.reserve(in), batch.labels.data(), in,
                  batch.stream);
        to_device(batch.device_first_bad.reserve(1), batch.first_bad.data(), 1,
                  batch.stream);
        RerankArguments a = arguments_;
        a.scores = batch.device_scores.data();
        a.labels = batch.device_labels.data();
        a.best_scores = batch.device_best_scores.reserve(out);
        a.best_labels = batch.device_best_labels.reserve(out);
        a.first_bad = batch.device_first_bad.data();
        start(a, lists, batch.stream);
        to_host(batch.best_scores.reserve(out), a.best_scores, out,
                batch.stream);
        to_host(batch.best_labels.reserve(out), a.best_labels, out,
                batch.stream);
        to_host(batch.first_bad.data(), a.first_bad, 1, batch.stream);
    }

    void finish(RerankBatch& batch) {
        if (batch.lists == 0) return;
        batch.stream.wait();
        const unsigned long long bad = *batch.first_bad.data();
        if (bad != none_bad) {
            refuse(table_, candidates_,
                   batch.first * candidates_.k + static_cast<idx_t>(bad));
        }
        const idx_t out = batch.lists * arguments_.k;
        const idx_t place = batch.first * arguments_.k;
        parallel_copy(answers_.scores + place, batch.best_scores.data(),
                      out * static_cast<idx_t>(sizeof(float)));
        parallel_copy(answers_.labels + place, batch.best_labels.data(),
                      out * static_cast<idx_t>(sizeof(idx_t)));
        batch.lists = 0;
    }

    static constexpr unsigned long long none_bad = ~0ULL;

    const CudaTable& table_;
    const Candidates& candidates_;
    const Answers& answers_;
    RerankArguments arguments_;
    RerankBatch (&batches_)[2];
};

}  // namespace

void cuda_rerank(Context& context, const CudaTable& table, Method method,
                 const Candidates& candidates, idx_t k,
                 const Answers& answers) {
    if (candidates.nq == 0 || k == 0) return;
    const idx_t width = std::max(candidates.k, k);
    const auto work = context.pool.take();
    HostRerank(table, method, candidates, k, answers, work->rerank)
        .run(std::max<idx_t>(context.tiles.rerank_candidates / width, 1));
}

}  // namespace cuda

int device_of(const BoundTable& table) {
    const auto* mine = dynamic_cast<const cuda::CudaTable*>(&table);
    return mine ? mine->device : -1;
}

void rerank_on_device(const BoundTable& table, Metric metric, Method method,
                      const DeviceLists& lists, CUstream_st* stream) {
    const auto* mine = dynamic_cast<const cuda::CudaTable*>(&table);
    require(mine != nullptr,
            "the table was not bound by the cuda engine; bind it with it");
    require(lists.k > 0, "k is ", lists.k, " but must be at least 1");
    cuda::RerankArguments a =
        cuda::arguments(*mine, method, lists.candidates, lists.k);
    if (metric == Metric::l2) a.sign = -1;
    a.empty = -a.sign * std::numeric_limits<float>::max();
    a.scores = lists.distances;
    a.labels = lists.labels;
    a.best_scores = lists.best_distances;
    a.best_labels = lists.best_labels;
    a.first_bad = lists.first_bad;
    cuda::start(a, lists.nq, stream);
}

}  // namespace faiss_qbnorm
