#pragma once

#include <span>
#include <vector>

#include "cuda/device.h"
#include "cuda/tiles.h"
#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm::cuda {

struct Slot;
struct Pair;
struct ShortlistView;

/// The items that may belong to each query's best, with exact scores, on the
/// host: those of query q are [starts[q], starts[q + 1]).
struct Survivors {
    std::vector<unsigned> starts;
    PinnedArray<float> scores;
    PinnedArray<std::uint32_t> rows;
    std::vector<std::uint32_t>
        overflowed;  ///< queries whose list was too short

    DeviceArray<float> device_scores;
    DeviceArray<std::uint32_t> device_rows;
    DeviceArray<unsigned> device_starts;
    DeviceArray<Pair> pairs;
    PinnedArray<unsigned> counts;
};

/// What exact scores are made of, on the device.
struct ExactScores {
    Metric metric;
    int d;
    const float* queries;  ///< original rows of the panel
    const float* gallery;  ///< original rows
    const float* offsets;  ///< of gallery rows, taken off; or nullptr
};

/// Slots that each of `queries` shortlists gets where `length` items are
/// wanted.
idx_t shortlist_capacity(const CudaTiles& tiles, idx_t queries, idx_t length);

/// Queries that shortlists have room for at once, a multiple of `multiple`.
idx_t shortlist_queries(const CudaTiles& tiles, idx_t queries, idx_t length,
                        int rankings, idx_t multiple);

/// Which gallery rows to look at before all of them, every stride-th: each
/// sample's length-th best is a threshold that few of the next pass. None for
/// a gallery that fits the lists.
std::vector<idx_t> sample_strides(idx_t rows, idx_t length, idx_t capacity);

/// Where to raise the thresholds again on the way through all rows, each time
/// twice as far as before: appending is dear.
std::vector<idx_t> pass_ends(idx_t rows, idx_t length, idx_t capacity);

/// Per query of a panel, the items that may belong to its `length` best by one
/// ranking. Filled by kernels (view), each pass over more of the gallery.
class Shortlist {
  public:
    /// Empty lists for as many queries as there are thresholds: only scores
    /// from a query's threshold on, exact ones, are wanted. Scores in tiles
    /// err by at most `errors`. The padding wants nothing.
    void begin(std::span<const float> thresholds, std::span<const float> errors,
               idx_t padded_queries, idx_t length, idx_t capacity,
               cudaStream_t stream);

    ShortlistView view() const;

    /// Raises the thresholds by what was seen, which a sample shows again.
    void raise(bool is_sample, cudaStream_t stream);

    /// After the last pass: scores exactly what may belong to the best. Waits.
    void finish(const ExactScores& exact, cudaStream_t stream);

    /// What finish left.
    const Survivors& survivors() const { return survivors_; }

  private:
    idx_t queries_ = 0;
    idx_t length_ = 0;
    idx_t capacity_ = 0;
    PinnedArray<float> staged_;
    DeviceArray<float> thresholds_;
    DeviceArray<float> errors_;
    DeviceArray<unsigned> counts_;
    DeviceArray<Slot> slots_;
    Survivors survivors_;
};

/// Exact scores of gallery rows [first, first + rows) for some queries, each
/// rows long, on the host: where a shortlist was too short. Waits.
const float* exact_scores(const ExactScores& exact,
                          std::span<const std::uint32_t> queries, idx_t first,
                          idx_t rows, DeviceArray<float>& on_device,
                          PinnedArray<float>& on_host,
                          DeviceArray<std::uint32_t>& device_queries,
                          cudaStream_t stream);

}  // namespace faiss_qbnorm::cuda
