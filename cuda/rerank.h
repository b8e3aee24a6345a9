#pragma once

#include <cstdint>

#include "faiss_qbnorm/engine.h"

struct CUstream_st;

namespace faiss_qbnorm {

/// Candidate lists and answers in device memory. Distances are as FAISS gives
/// them: inner products, or squared L2 distances; in empty slots (label -1) the
/// metric's worst value.
struct DeviceLists {
    idx_t nq = 0;
    idx_t candidates = 0;              ///< a query
    const float* distances = nullptr;  ///< nq x candidates
    const idx_t* labels = nullptr;     ///< nq x candidates
    idx_t k = 0;
    float* best_distances = nullptr;  ///< nq x k
    idx_t* best_labels = nullptr;     ///< nq x k
    /// One number on the device: set it to ~0; where a label is not in the
    /// table, or a distance is NaN or Inf, the least such place (query *
    /// candidates + slot) appears here, and the candidate is left out.
    unsigned long long* first_bad = nullptr;
};

/// The device that a table was bound to; -1 for another engine's table.
int device_of(const BoundTable& table);

/// Reranks on the caller's stream and returns at once. `table` comes from an
/// engine called "cuda" and must live until the stream is done; its device must
/// be the current one. k is at most 2048, or as many as the candidates where
/// those are at most 4096.
void rerank_on_device(const BoundTable& table, Metric metric, Method method,
                      const DeviceLists& lists, CUstream_st* stream);

}  // namespace faiss_qbnorm
