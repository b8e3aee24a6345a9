#include <faiss/IndexIVFFlat.h>
#include <omp.h>

#include <algorithm>
#include <thread>

#include "bench/cpu/batch.h"
#include "bench/cpu/benchmarks.h"
#include "bench/cpu/ivf.h"
#include "faiss_qbnorm/IndexQBNorm.h"
#include "faiss_qbnorm/core/error.h"

namespace bench {

using namespace faiss_qbnorm;

namespace {

constexpr idx_t k = 10;
constexpr idx_t nprobe = 32;
constexpr idx_t checked_queries = 10;
constexpr double tolerance = 1e-5;  ///< of FAISS's float sums

/// Batches of one query set, searched by some host threads, each of which has
/// one OpenMP thread.
class Crowd {
  public:
    Crowd(const IndexQBNorm& index, idx_t batch, idx_t batches)
        : index_(index),
          batch_(batch),
          queries_(batch * batches, static_cast<int>(index.d), 3),
          distances_(batch * batches * k),
          labels_(distances_.size()) {}

    double search(int threads) {
        return seconds_of([&] {
            std::vector<std::thread> all;
            all.reserve(threads);
            for (int i = 0; i < threads; i++) {
                all.emplace_back([this, i, threads] { share(i, threads); });
            }
            for (std::thread& thread : all) thread.join();
        });
    }

    Contender contender(int threads) {
        return {std::to_string(threads) +
                    (threads > 1 ? " host threads" : " host thread"),
                static_cast<double>(queries_.view().rows),
                [this, threads] { return search(threads); }};
    }

    MatrixView queries() const { return queries_.view(); }
    const std::vector<idx_t>& labels() const { return labels_; }
    Answered answered() const { return {k, distances_.data(), labels_.data()}; }

  private:
    void share(idx_t thread, idx_t threads) {
        omp_set_num_threads(1);
        const idx_t batches = queries().rows / batch_;
        for (idx_t i = thread; i < batches; i += threads) {
            const idx_t first = i * batch_;
            index_.search(batch_, queries().row(first), k,
                          distances_.data() + first * k,
                          labels_.data() + first * k);
        }
    }

    const IndexQBNorm& index_;
    const idx_t batch_;
    const Vectors queries_;
    std::vector<float> distances_;
    std::vector<idx_t> labels_;
};

void search_from_many(const std::string& name, Crowd& crowd,
                      const RawScores& raw, IndexQBNorm& index, idx_t batch) {
    for (const Method method : both_methods) {
        index.normalization.method = method;
        crowd.search(1);
        verify_answers(raw, index.table()->columns.front(), method,
                       sample(crowd.queries().rows, checked_queries),
                       crowd.answered(), tolerance);
    }
    const std::vector<idx_t> labels = crowd.labels();
    for (const int threads : {2, 8}) {
        crowd.search(threads);
        require(crowd.labels() == labels, threads,
                " host threads were answered otherwise than one");
    }
    const auto measured =
        race({crowd.contender(1), crowd.contender(2), crowd.contender(8)});
    for (const size_t i : {1, 2}) {
        print({"threads",
               {{"base", name},
                {"d", index.d},
                {"items", index.ntotal},
                {"batch", batch},
                {"k", k},
                {"threads", i == 1 ? 2 : 8}},
               "queries/s",
               measured[i],
               {measured[0]},
               {}});
    }
}

}  // namespace

void bench_threads(const Setup& setup) {
    const Vectors gallery(setup.threads_items, setup.d, 1);
    const Vectors bank(setup.small_bank, setup.d, 4);
    const MatrixView items = gallery.view();

    faiss::IndexFlatIP flat(setup.d);
    flat.add(items.rows, items.data);
    IndexQBNorm over_flat(&flat);
    over_flat.set_querybank(bank.view().rows, bank.view().data);
    Crowd many(over_flat, setup.threads_batch, setup.threads_batches);
    search_from_many("Flat", many, products(items, many.queries()), over_flat,
                     setup.threads_batch);

    const auto quantizer = coarse_quantizer(items, setup.curve_lists);
    faiss::IndexIVFFlat ivf(quantizer.get(), setup.d, setup.curve_lists,
                            faiss::METRIC_INNER_PRODUCT);
    ivf.train(items.rows, items.data);
    ivf.add(items.rows, items.data);
    ivf.nprobe = nprobe;
    IndexQBNorm over_ivf(&ivf);
    over_ivf.set_querybank(bank.view().rows, bank.view().data);
    Crowd more(over_ivf, setup.threads_batch, 8 * setup.threads_batches);
    search_from_many("IVF" + std::to_string(setup.curve_lists) + ",Flat", more,
                     probed_products(ivf, more.queries()), over_ivf,
                     setup.threads_batch);
}

}  // namespace bench
