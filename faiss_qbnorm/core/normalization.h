#pragma once

#include <span>
#include <string>
#include <string_view>

#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm {

/// How raw scores s are normalised. p_ij is the score of bank query i with item
/// j, M the bank's size. Most methods rank by s - offset_j: what they are
/// defined by, moved to the unit of s, less what is the same for all items.
enum class Method : std::uint32_t {
    none = 0,  ///< raw scores
    /// Inverted Softmax (Smith et al. 2017; Bogolin et al., "Cross Modal
    /// Retrieval with Querybank Normalisation", CVPR 2022, eq. 4):
    /// exp(beta s) / sum_i exp(beta p_ij).
    is = 1,
    /// Dynamic Inverted Softmax (Bogolin et al. 2022): IS for queries whose raw
    /// top-1 is in the activation set; s for the others. Their code looks for
    /// that top-1 among exp(beta s), where it may tie or overflow; here among
    /// s, as the paper says.
    dis = 2,
    /// Cross-domain Similarity Local Scaling (Conneau et al. 2018): 2 s - r_q -
    /// r_j, r_j the mean of item j's `neighbours` largest p_ij.
    csls = 3,
    /// Globally corrected (Dinu et al. 2015): s - rank, how many p_ij are
    /// larger than s. No offset expresses it: it needs bank and gallery.
    gc = 4,
    /// Nearest Neighbor Normalization (Chowdhury et al. 2024): s - alpha r_j.
    /// Defaults are their README's; those in their code are others (0.5, 256).
    nnn = 5,
    /// Centering (Suzuki et al. 2013): <q - c, g - c>, c the querybank's mean.
    /// (With the gallerybank's for c, R@1 is 22 instead of 61 on CLIP, whose
    /// modalities lie apart, and 45 instead of 43 on the manual pages:
    /// bench/results/papers-full.md.)
    cent = 6,
    /// Dual Bank Sinkhorn Normalization (Pan et al. 2025): IS at beta = 1 / tau
    /// with a weight for each bank query, learned by Sinkhorn's iterations on
    /// the gallery and, where given, the gallerybank.
    dbsn = 7,
    /// Dual Bank Normalisation (Wang et al., "Balance Act", EMNLP 2023): the
    /// product of IS by the querybank and IS by the gallerybank at beta2. Their
    /// code normalises the gallerybank's matrix in the place of the queries';
    /// here as the paper says.
    dualis = 8,
    /// The same, each factor dynamic by its own bank's activation set: a factor
    /// whose gate is closed is s itself. No offset expresses it, either. Gates
    /// are a query's and a bank's, as in their code, which then squares one
    /// factor; here they are two, as the paper says.
    dualdis = 9,
};

/// All of them, in the order of a table's rows.
std::span<const Method> all_methods();

/// A method and its hyperparameters, those of other methods unused.
struct Normalization {
    Method method;
    /// Inverse temperature of the softmax, in (0, 1e4]. The published 20 suits
    /// unit vectors under the inner product; of dbsn it is 100.
    float beta;
    /// The activation set holds each bank query's top `activation_k` items, of
    /// 1 to 2^30.
    idx_t activation_k = 1;
    float beta2 = 3.0F;   ///< of the gallerybank's softmax, as beta
    idx_t neighbours;     ///< csls: 10, nnn: 128; 1 to 2^30
    float alpha = 0.75F;  ///< nnn; in [0, 100]
    int iterations = 10;  ///< dbsn; 1 to 1000

    /// The published defaults of a method.
    constexpr Normalization(Method method = Method::dis)
        : method(method),
          beta(method == Method::dbsn ? 100.0F : 20.0F),
          neighbours(method == Method::nnn ? 128 : 10) {}
    constexpr Normalization(Method method, float beta, idx_t activation_k)
        : Normalization(method) {
        this->beta = beta;
        this->activation_k = activation_k;
    }

    bool operator==(const Normalization&) const = default;
};

inline constexpr float max_beta = 1e4F;
inline constexpr idx_t max_activation_k = idx_t{1} << 30;
inline constexpr idx_t max_neighbours = idx_t{1} << 30;
inline constexpr float max_alpha = 100;
inline constexpr int max_iterations = 1000;

/// Throws unless every hyperparameter is in its range.
void check(const Normalization& normalization);

/// "none", "is", "dis", ...; an unknown name throws.
Method method_from_name(std::string_view name);
std::string name_of(Method method);

/// "ip", "l2"; an unknown name throws.
Metric metric_from_name(std::string_view name);
std::string name_of(Metric metric);

/// Whether it ranks open queries by s - offset.
inline bool has_offset(Method method) {
    return method != Method::none && method != Method::gc &&
           method != Method::dualdis;
}

/// Whether some queries stay as they are, by an activation set.
inline bool is_gated(Method method) {
    return method == Method::dis || method == Method::dualdis;
}

/// Whether it needs a gallerybank (dbsn takes one, too).
inline bool is_dual(Method method) {
    return method == Method::dualis || method == Method::dualdis;
}

/// What a bank column fitted for `method` holds: Method::is for none, IS, DIS,
/// DualIS and DualDIS, which share columns.
inline Method column_kind(Method method) {
    return method == Method::none || method == Method::dis || is_dual(method)
               ? Method::is
               : method;
}

/// The method and the hyperparameters that it has: "dis, beta 20, activation_k
/// 1".
std::string to_string(const Normalization& normalization);

/// Whether what was fitted with `a` is what `b` asks for.
bool same_fit(const Normalization& a, const Normalization& b);

/// Whether the gate of a query opens, so that it ranks by s - offset.
/// `top1_active`: whether its raw top-1 is in the activation set.
inline bool gate_opens(Method method, bool top1_active) {
    return has_offset(method) && (method != Method::dis || top1_active);
}

}  // namespace faiss_qbnorm
