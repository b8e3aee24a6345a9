#pragma once

#include <span>
#include <vector>

#include "faiss_qbnorm/similarities/similarities.h"
#include "faiss_qbnorm/tune/spread.h"

namespace faiss_qbnorm {

/// What unlabelled queries find, raw and by IS at several betas.
struct UnlabelledRankings {
    RankedLabels raw;
    std::vector<RankedLabels> is;    ///< one a beta
    std::vector<std::uint8_t> open;  ///< 1 where the gate of DIS opens
};

/// Ranks the gallery for the queries by a bank, in one pass over both for all
/// the betas; the best SpreadMeter::depth items of each.
UnlabelledRankings rank_unlabelled(const Similarities& bank,
                                   const Similarities& queries,
                                   std::span<const float> betas,
                                   idx_t activation_k);

/// Ranks it for rows of the bank, each split's by the bank's other rows: the
/// splits are the first, the second, ... `held_out` entries of `order`, a
/// permutation of the bank's rows. In one pass over the bank for all of them.
std::vector<UnlabelledRankings> rank_held_out(const Similarities& bank,
                                              std::span<const idx_t> order,
                                              idx_t held_out, idx_t splits,
                                              std::span<const float> betas,
                                              idx_t activation_k);

}  // namespace faiss_qbnorm
