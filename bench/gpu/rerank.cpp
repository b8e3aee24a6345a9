#include "cuda/rerank.h"

#include <algorithm>
#include <vector>

#include "bench/common/verify.h"
#include "bench/gpu/benchmarks.h"
#include "faiss_qbnorm/core/error.h"

namespace bench {

using namespace faiss_qbnorm;
using faiss_qbnorm::cuda::DeviceArray;
using faiss_qbnorm::cuda::to_device;
using faiss_qbnorm::cuda::to_host;

namespace {

constexpr idx_t k = 10;
constexpr double bytes_per_candidate = 76;  ///< list entry and half a line
constexpr idx_t checked_lists = 200;
constexpr unsigned long long none_bad = ~0ULL;

/// Random candidates, on the host and on the device.
struct Lists {
    idx_t nq;
    idx_t length;
    HostArray<idx_t> labels;
    HostArray<float> scores;
    HostArray<float> best_scores;
    HostArray<idx_t> best_labels;
    DeviceArray<idx_t> device_labels;
    DeviceArray<float> device_scores;
    DeviceArray<float> device_best_scores;
    DeviceArray<idx_t> device_best_labels;
    DeviceArray<unsigned long long> device_bad;
    cuda::Stream stream;  // last: its work ends before the rest goes

    Lists(idx_t items, idx_t nq, idx_t length)
        : nq(nq),
          length(length),
          labels(nq * length),
          scores(nq * length),
          best_scores(nq * k),
          best_labels(nq * k),
          device_labels(nq * length),
          device_scores(nq * length),
          device_best_scores(nq * k),
          device_best_labels(nq * k),
          device_bad(1) {
        fill_candidates(items, 20, labels, scores);
        to_device(device_labels.data(), labels.data(), nq * length, stream);
        to_device(device_scores.data(), scores.data(), nq * length, stream);
        to_device(device_bad.data(), &none_bad, 1, stream);
        stream.wait();
    }

    void forget() {
        std::fill_n(best_scores.data(), nq * k, 0.0F);
        std::fill_n(best_labels.data(), nq * k, idx_t{-2});
    }

    double on_device(const BoundTable& table, int calls) const {
        return seconds_of([&] {
            for (int i = 0; i < calls; i++) {
                rerank_on_device(
                    table, Metric::inner_product, Method::dis,
                    {nq, length, device_scores.data(), device_labels.data(), k,
                     device_best_scores.data(), device_best_labels.data(),
                     device_bad.data()},
                    stream);
            }
            stream.wait();
        });
    }

    void fetch() {
        forget();
        unsigned long long bad = 0;
        to_host(best_scores.data(), device_best_scores.data(), nq * k, stream);
        to_host(best_labels.data(), device_best_labels.data(), nq * k, stream);
        to_host(&bad, device_bad.data(), 1, stream);
        stream.wait();
        require(bad == none_bad, "place ", bad, " was called bad");
    }

    double on_host(const Engine& engine, const BoundTable& table) const {
        return seconds_of([&] {
            engine.rerank(table, Method::dis,
                          {nq, length, scores.data(), labels.data()}, k,
                          {best_scores.data(), best_labels.data()});
        });
    }

    void verify(const BankColumn& column) const {
        for (const idx_t list : sample(nq, checked_lists)) {
            std::vector<Scored> right(length);
            for (idx_t i = 0; i < length; i++) {
                right[i] = {scores[list * length + i],
                            labels[list * length + i]};
            }
            const Scored top1 =
                *std::min_element(right.begin(), right.end(), ranks_before);
            if (column.activation.contains(top1.label)) {
                for (Scored& item : right) {
                    item.score -= column.offsets[item.label];
                }
            }
            std::sort(right.begin(), right.end(), ranks_before);
            for (idx_t i = 0; i < std::min(k, length); i++) {
                const idx_t place = list * k + i;
                require(best_labels[place] == right[i].label &&
                            best_scores[place] == right[i].score,
                        "list ", list, " was answered with item ",
                        best_labels[place], ", score ", best_scores[place],
                        ", instead of item ", right[i].label, ", score ",
                        right[i].score);
            }
        }
    }
};

}  // namespace

void bench_rerank(const Setup& setup, const Engine& engine,
                  References& references, Results& results) {
    const NormTable table = make_table(setup.table_items, 1, 21);
    const auto bound = engine.bind_table(table);
    for (const idx_t length : setup.list_lengths) {
        Lists lists(setup.table_items, setup.candidates / length, length);
        lists.on_device(*bound, 1);
        lists.fetch();
        lists.verify(table.columns.front());
        lists.forget();
        lists.on_host(engine, *bound);
        lists.verify(table.columns.front());

        const double work = 1e-12 * bytes_per_candidate *
                            static_cast<double>(lists.nq * length);
        Result result{"rerank_on_device",
                      {{"table", setup.table_items},
                       {"queries", lists.nq},
                       {"candidates", length},
                       {"k", k},
                       {"calls", setup.reference_calls}},
                      setup.reference_calls * work,
                      "TB/s at 76 bytes a candidate",
                      references.copy_reference(1),
                      {Goal::Kind::rate_at_least, 0.5}};
        results.add(
            result,
            compare(
                [&] { return lists.on_device(*bound, setup.reference_calls); },
                [&] { return references.copies(1); }));
        result.benchmark = "rerank_from_host";
        result.parameters.erase("calls");
        result.work = static_cast<double>(lists.nq * length);
        result.unit = "candidates/s";
        results.add(result,
                    repeat([&] { return lists.on_host(engine, *bound); }));
    }
}

}  // namespace bench
