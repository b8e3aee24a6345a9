#pragma once

#include <functional>

#include "faiss_qbnorm/engine.h"
#include "faiss_qbnorm/gallery.h"

namespace faiss_qbnorm {

/// How many queries to scan at once: their lists stay within 128 MB, and what
/// an engine keeps of them while it scans within some more.
idx_t query_batch(idx_t k);

/// A state for `nq` queries that have seen nothing yet.
ScanState begin_scan(idx_t nq, idx_t k, bool with_table);

/// Decides each query's gate by its raw top-1 and writes its answers, k wide
/// (the state's lists may be shorter, where the gallery is). `gate` knows the
/// activation set of the whole gallery; null for method none. `gates`, where
/// given, receives 1 for every query that ranks by s - offset.
void finish_scan(const ScanState& state, const Gate* gate, idx_t k,
                 const Answers& answers, std::uint8_t* gates = nullptr);

/// Throws unless the table covers the whole of a gallery of this size,
/// dimension and metric.
void check_table_fits(const NormTable& table, idx_t size, int d, Metric metric);

/// Searches the whole gallery, exactly, in blocks. Method none needs no table
/// (nullptr). Throws on k <= 0, a wrong dimension, NaN or Inf, and where the
/// gallery's fingerprint is not the table's.
void exact_search(const Engine& engine, const Gallery& gallery, Metric metric,
                  const NormTable* table, Method method,
                  const MatrixView& queries, idx_t k, const Answers& answers,
                  const std::function<void(idx_t)>& progress = {});

/// Scores as FAISS returns them: for L2 the squared distances |q - g|^2 (+
/// offset), ascending; in empty slots the metric's worst value.
void scores_to_distances(Metric metric, idx_t n, const idx_t* labels,
                         float* scores);

}  // namespace faiss_qbnorm
