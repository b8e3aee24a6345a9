#pragma once

#include <span>
#include <vector>

#include "faiss_qbnorm/core/top_lists.h"

namespace faiss_qbnorm {

/// The first items of each of nq queries in ranking order, `depth` a query;
/// slots that have none hold -1.
struct RankedLabels {
    idx_t nq = 0;
    idx_t depth = 0;
    std::vector<idx_t> labels;

    RankedLabels() = default;
    explicit RankedLabels(const TopLists& lists);

    std::span<const idx_t> row(idx_t query) const {
        return {labels.data() + query * depth, static_cast<size_t>(depth)};
    }
};

/// How evenly answers are spread over a gallery: the Shannon entropy, in nats,
/// of which item an answer is. N_k(j) is how many queries have item j in their
/// top k (the k-occurrence of Radovanovic et al. 2010); the spread is the sum
/// over k in {1, 5, 10} of the entropy of N_k / sum(N_k). A hub lowers it, a
/// normalisation that scatters answers does not raise it for queries of the
/// gallery's own kind: that is how beta can be chosen without labels.
class SpreadMeter {
  public:
    static constexpr idx_t depth = 10;

    explicit SpreadMeter(idx_t items) : counts_(items, 0) {}

    /// Of the queries named, whose lists are `closed` where `open` (one flag a
    /// query) is given and 0.
    double measure(const RankedLabels& lists, std::span<const idx_t> queries,
                   std::span<const std::uint8_t> open = {},
                   const RankedLabels* closed = nullptr);

  private:
    double of_log(idx_t count);

    std::vector<std::int32_t> counts_;  // all 0 between measurements
    std::vector<double> count_logs_;    // c log c
};

}  // namespace faiss_qbnorm
