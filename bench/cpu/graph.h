#pragma once

#include <faiss/IndexHNSW.h>

#include <memory>

#include "bench/common/data.h"
#include "bench/cpu/setup.h"

namespace bench {

/// The gallery of bench_hnsw and bench_curve and an HNSW32 over it, which takes
/// long to build: once a process.
struct Graph {
    Vectors gallery;
    faiss::IndexHNSWFlat hnsw;

    static Graph& of(const Setup& setup);

  private:
    explicit Graph(const Setup& setup)
        : gallery(setup.graph_items, setup.d, 1),
          hnsw(setup.d, 32, faiss::METRIC_INNER_PRODUCT) {
        hnsw.add(gallery.view().rows, gallery.view().data);
    }
};

}  // namespace bench
