#pragma once

#include "bench/gpu/references.h"
#include "bench/gpu/results.h"
#include "bench/gpu/setup.h"

namespace bench {

/// A gallery of random vectors, in host memory and bound to the engine.
struct TestGallery {
    Vectors vectors;
    std::unique_ptr<faiss_qbnorm::BoundGallery> bound;

    TestGallery(const faiss_qbnorm::Engine& engine, idx_t rows, int d);
    MatrixView view() const { return vectors.view(); }
};

/// How much of cuBLAS's speed products of this dimension should keep.
inline Goal product_goal(int d) {
    const double ratio = d <= 128   ? 0.40
                         : d <= 256 ? 0.55
                         : d <= 512 ? 0.65
                                    : 0.70;
    return {Goal::Kind::rate_at_least, ratio};
}

/// Building the table: time against cuBLAS, and with the activation set against
/// without.
void bench_probe(const Setup& setup, const faiss_qbnorm::Engine& engine, int d,
                 References& references, Results& results);

/// Building it from a gallery in host memory against one on the device.
void bench_streamed(const Setup& setup, const faiss_qbnorm::Engine& engine,
                    int d, Results& results);

/// Exact search of a large batch against cuBLAS.
void bench_scan(const Setup& setup, const faiss_qbnorm::Engine& engine, int d,
                References& references, Results& results);

/// Exact search of a few queries against a copy of the gallery.
void bench_few(const Setup& setup, const faiss_qbnorm::Engine& engine,
               References& references, Results& results);

/// Reranking random candidates of a large table against a copy.
void bench_rerank(const Setup& setup, const faiss_qbnorm::Engine& engine,
                  References& references, Results& results);

/// Dynamic Inverted Softmax over a large gallery, from queries to answers.
void bench_dis(const Setup& setup, const faiss_qbnorm::Engine& engine,
               Results& results);

}  // namespace bench
