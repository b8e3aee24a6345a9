// The CPU engine against its references, on synthetic unit vectors:
//   probe   ratio to the bare BLAS product of the same shape (higher is better)
//   scan    ratio to faiss::IndexFlatIP searching the same k, no normalisation
//   ivf     ratio to the bare IndexIVFFlat, same nprobe and k
//   rerank  ratio to the bare gather of the same offsets
// Each is verified first, then timed in turn with its reference; a ratio is of
// medians, time of the reference over ours.

#include <benchmark/benchmark.h>
#include <faiss/IndexFlat.h>
#include <faiss/IndexIVFFlat.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "faiss_qbnorm/fit.h"
#include "faiss_qbnorm/make_engine.h"

extern "C" int sgemm_(const char*, const char*, const int*, const int*,
                      const int*, const float*, const float*, const int*,
                      const float*, const int*, const float*, float*,
                      const int*);

namespace {

using namespace faiss_qbnorm;

std::vector<float> unit_vectors(idx_t rows, int d, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> data(rows * d);
    for (idx_t i = 0; i < rows; i++) {
        double squares = 0;
        for (int j = 0; j < d; j++) {
            // A common direction makes hubs, as a modality gap does.
            const float x = normal(random) + (j == 0 ? 3.0F : 0.0F);
            data[i * d + j] = x;
            squares += double{x} * x;
        }
        for (int j = 0; j < d; j++) {
            data[i * d + j] /= static_cast<float>(std::sqrt(squares));
        }
    }
    return data;
}

void verify(benchmark::State& state, bool right, const char* what) {
    if (right) return;
    std::fprintf(stderr, "bench_engine: wrong result: %s\n", what);
    state.SkipWithError(what);
    std::exit(1);
}

double seconds_of(const std::function<void()>& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                         begin)
        .count();
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

/// Times ours and the reference in turn: an iteration is one pair.
void compare(benchmark::State& state, const std::function<void()>& ours,
             const std::function<void()>& reference) {
    ours();
    reference();
    std::vector<double> our_times;
    std::vector<double> reference_times;
    for ([[maybe_unused]] auto _ : state) {
        reference_times.push_back(seconds_of(reference));
        our_times.push_back(seconds_of(ours));
        state.SetIterationTime(our_times.back());
    }
    state.counters["median_s"] = median(our_times);
    state.counters["reference_s"] = median(reference_times);
    state.counters["ratio"] = median(reference_times) / median(our_times);
}

void probe(benchmark::State& state) {
    const int d = static_cast<int>(state.range(0));
    const idx_t bank_rows = 4096;
    const idx_t rows = 16384;
    const auto bank = unit_vectors(bank_rows, d, 1);
    const auto gallery = unit_vectors(rows, d, 2);
    const auto engine = make_engine();
    const auto bound =
        engine->bind_bank(Metric::inner_product, {bank.data(), bank_rows, d});
    const GalleryBlock block{{gallery.data(), rows, d}};
    std::vector<float> offsets(rows);
    const auto ours = [&] {
        TopLists winners(bank_rows, 1);
        const auto probe =
            engine->begin_probe(*bound, {}, {0, offsets, winners});
        probe->add(block);
        probe->finish();
    };
    ours();
    for (idx_t j = 0; j < rows; j += 1111) {
        double sum = 0;
        for (idx_t i = 0; i < bank_rows; i++) {
            double s = 0;
            for (int t = 0; t < d; t++) {
                s += double{bank[i * d + t]} * gallery[j * d + t];
            }
            sum += std::exp(20 * s);
        }
        const double right = std::log(sum / bank_rows) / 20;
        verify(state, std::fabs(offsets[j] - right) < 1e-5, "an offset");
    }
    const int m = static_cast<int>(bank_rows);
    const int tile = 1024;
    std::vector<float> product(idx_t{tile} * m);
    compare(state, ours, [&] {
        const float one = 1;
        const float zero = 0;
        for (idx_t j = 0; j < rows; j += tile) {
            sgemm_("T", "N", &m, &tile, &d, &one, bank.data(), &d,
                   gallery.data() + j * d, &d, &zero, product.data(), &m);
        }
    });
}

/// Over an index of `factory`: normalised search against the bare base.
void search_over(benchmark::State& state, faiss::Index& base, int d,
                 const std::vector<float>& gallery, idx_t rows) {
    const auto nq = static_cast<idx_t>(state.range(1));
    const idx_t k = 10;
    const auto queries = unit_vectors(nq, d, 3);
    const auto bank = unit_vectors(1000, d, 4);
    IndexQBNorm index(&base);
    index.set_querybank(1000, bank.data());
    std::vector<float> distances(nq * k);
    std::vector<idx_t> labels(nq * k);
    const auto ours = [&] {
        index.search(nq, queries.data(), k, distances.data(), labels.data());
    };
    ours();
    const float* offsets = index.table()->columns[0].offsets.data();
    for (idx_t i = 0; i < nq; i += 97) {
        const idx_t label = labels[i * k];
        double s = 0;
        for (int t = 0; t < d; t++) {
            s += double{queries[i * d + t]} * gallery[label * d + t];
        }
        const double got = distances[i * k];
        verify(state,
               label < rows && (std::fabs(got - s) < 1e-5 ||
                                std::fabs(got - (s - offsets[label])) < 1e-5),
               "a distance");
    }
    compare(state, ours, [&] {
        base.search(nq, queries.data(), k, distances.data(), labels.data());
    });
}

void scan(benchmark::State& state) {
    const int d = static_cast<int>(state.range(0));
    const idx_t rows = 50000;
    const auto gallery = unit_vectors(rows, d, 2);
    faiss::IndexFlatIP base(d);
    base.add(rows, gallery.data());
    search_over(state, base, d, gallery, rows);
}

void ivf(benchmark::State& state) {
    const int d = static_cast<int>(state.range(0));
    const idx_t rows = 50000;
    const auto gallery = unit_vectors(rows, d, 2);
    faiss::IndexFlatIP quantizer(d);
    faiss::IndexIVFFlat base(&quantizer, d, 128, faiss::METRIC_INNER_PRODUCT);
    base.train(20000, gallery.data());
    base.add(rows, gallery.data());
    base.nprobe = 16;
    search_over(state, base, d, gallery, rows);
}

void rerank(benchmark::State& state) {
    const auto candidates = static_cast<idx_t>(state.range(0));
    const idx_t nq = 100000000 / candidates;
    const idx_t items = 1000000000;
    const idx_t k = 10;
    std::mt19937_64 random(5);
    HugeVector<float> offsets(items);
    for (float& offset : offsets) {
        offset = static_cast<float>(random() % 1000) / 1000;
    }
    NormTable table{1, Metric::inner_product, items, 0, items, 0, {}};
    BankColumn column;
    column.activation = ActivationSet(items, {});
    column.offsets = std::move(offsets);
    table.columns.push_back(column);
    constexpr idx_t ahead = 32;
    std::vector<idx_t> labels(nq * candidates + ahead);
    std::vector<float> scores(nq * candidates);
    for (idx_t i = 0; i < nq * candidates; i++) {
        labels[i] = static_cast<idx_t>(random() % items);
        scores[i] = static_cast<float>(random() % 1000) / 1000;
    }
    const auto engine = make_engine();
    const auto bound = engine->bind_table(table);
    std::vector<float> best(nq * k);
    std::vector<idx_t> best_labels(nq * k);
    const auto ours = [&] {
        engine->rerank(*bound, Method::is,
                       {nq, candidates, scores.data(), labels.data()}, k,
                       {best.data(), best_labels.data()});
    };
    ours();
    const auto& held = column.offsets;
    for (idx_t i = 0; i < nq; i += 97) {
        float right = -1e30F;
        for (idx_t j = i * candidates; j < (i + 1) * candidates; j++) {
            right = std::max(right, scores[j] - held[labels[j]]);
        }
        verify(state, best[i * k] == right, "a reranked score");
    }
    // The fastest loop over the same table that reads every candidate's offset.
    double sum = 0;
    compare(state, ours, [&] {
#pragma omp parallel for reduction(+ : sum)
        for (idx_t i = 0; i < nq * candidates; i++) {
            __builtin_prefetch(&held[labels[i + ahead]]);
            sum += held[labels[i]];
        }
        benchmark::DoNotOptimize(sum);
    });
}

#define PAIRS Iterations(5)->UseManualTime()->Unit(benchmark::kMillisecond)
BENCHMARK(probe)->Arg(128)->Arg(512)->PAIRS;
BENCHMARK(scan)->ArgsProduct({{128, 512}, {1, 16, 1000}})->PAIRS;
BENCHMARK(ivf)->ArgsProduct({{128}, {1, 1000}})->PAIRS;
BENCHMARK(rerank)->Arg(100)->Arg(1000)->PAIRS;

}  // namespace

BENCHMARK_MAIN();
