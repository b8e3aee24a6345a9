#pragma once

#include <optional>
#include <vector>

#include "faiss_qbnorm/core/normalization.h"
#include "faiss_qbnorm/eval/metrics.h"
#include "faiss_qbnorm/similarities/similarities.h"
#include "faiss_qbnorm/tune/right_ranks.h"

namespace faiss_qbnorm {

struct SweepPoint {
    Normalization normalization;
    RetrievalMetrics retrieval;
};

struct SweepResult {
    std::vector<SweepPoint> curve;  ///< in the order of the grids
    SweepPoint best;
};

/// What is swept over: held-out queries whose right items are known, and the
/// banks that normalise. The gallerybank is dualis' and dualdis', or null.
struct SweepData {
    const Similarities& querybank;
    const Similarities* gallerybank;
    const Similarities& queries;
    RightItems truth;
};

/// The recall of `start.method` for every value of its parameters, and the best
/// ones: the largest R@1, then the largest geometric mean, then the value
/// nearest to the method's default.
///
///   is             beta, 16 values around 1 / (deviation of the similarities)
///   dis, dualdis   beta at start's activation_k, then activation_k at the best
///   dualis         beta; beta2 is start's, as it is for dualdis
///   dbsn           beta; the weights are learned from the gallery alone
///   csls           neighbours, 1 to 500
///   nnn            neighbours and alpha together
///
/// Whatever the grid, each bank is read once or twice and the queries twice or,
/// for dualdis, four times; but dbsn fits once a value. Throws on methods
/// without parameters to sweep (none, gc, cent).
SweepResult sweep(const SweepData& data, const Normalization& start);

/// The best of none, csls, nnn, is and dis, each at its best parameters; ties
/// go to the first of them. The curve is theirs, one after another.
SweepResult sweep_methods(const SweepData& data);

}  // namespace faiss_qbnorm
