#pragma once

#include <optional>
#include <string>
#include <vector>

#include "faiss_qbnorm/core/normalization.h"
#include "faiss_qbnorm/similarities/similarities.h"

namespace faiss_qbnorm {

/// How evenly IS spreads the answers of unlabelled queries at one beta (see
/// SpreadMeter), in nats.
struct BetaPoint {
    float beta = 0;
    double entropy = 0;
};

/// A method and its beta, chosen without labels.
struct BetaChoice {
    Method method = Method::none;
    float beta = Normalization().beta;
    /// The mean over items of the standard deviation of the bank's similarities
    /// with the item; 0 where they cannot say anything.
    double sigma = 0;
    std::vector<BetaPoint> curve;
    /// Of the queries' answers by raw scores and, at the chosen beta, by IS and
    /// DIS.
    double entropy_raw = 0;
    double entropy_is = 0;
    double entropy_dis = 0;
    /// The share of random halves of the queries that choose the same: the
    /// method (where it was not given) and, unless that is none, a beta within
    /// a factor of 1.5.
    double confidence = 0;
    std::string warning;    ///< what to be careful about, in words; or empty
    idx_t queries = 0;      ///< how many were ranked
    bool held_out = false;  ///< they were rows of the bank
};

/// Chooses beta, and where `method` (is or dis) is not given also whether to
/// normalise at all: the beta at which IS spreads the queries' answers most,
/// then the method of none, dis and is that spreads them most at that beta. The
/// QB-Norm authors (Bogolin et al. 2022) leave beta to a grid over labelled
/// data; this needs queries only, a thousand if you have them.
///
/// `queries`: live queries, nullptr for none. Then rows of the bank are held
/// out instead, min(300, M / 4) in each of four splits: enough for a beta, but
/// no bank can tell by itself that it is of another domain than the queries.
///
/// Two passes over the bank's similarities. Throws where bank and queries are
/// not of one gallery, on no rows or items, and on a method that has no such
/// beta.
BetaChoice choose_beta(const Similarities& bank, const Similarities* queries,
                       std::optional<Method> method, idx_t activation_k = 1);

}  // namespace faiss_qbnorm
