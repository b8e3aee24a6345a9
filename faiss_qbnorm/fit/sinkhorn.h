#pragma once

#include <span>
#include <vector>

#include "faiss_qbnorm/similarities/similarities.h"

namespace faiss_qbnorm {

/// The weights by which Dual Bank Sinkhorn Normalization (Pan et al. 2025,
/// arXiv 2508.02538) sums the bank's exponentials. With p_ij of bank query i
/// and target item j, n items in all `targets` (the gallery, then the
/// gallerybank where there is one), M bank queries and K_ij = exp(beta (p_ij -
/// 1)), the published code starts from u = 1 / n and repeats
///   v_i = (1 / M) / sum_j K_ij u_j,   u_j = (1 / n) / sum_i K_ij v_i
/// and ranks by s + log(u_j) / beta, that is by s - log(sum_i v_i exp(beta
/// p_ij)) / beta. Returns log v_i after `iterations`, moved so that the mean of
/// v is 1.
///
/// Works on logarithms: finite for all similarities and every beta that
/// check(Normalization) allows. In the unit of a score it is off by about
/// 1e-16 / beta. Reads all targets once an iteration. Throws where there are no
/// targets or bank queries, or where targets differ in them.
std::vector<float> sinkhorn_log_weights(
    std::span<const Similarities* const> targets, double beta, int iterations);

}  // namespace faiss_qbnorm
