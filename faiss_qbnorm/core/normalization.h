#pragma once

#include <string>
#include <string_view>

#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm {

/// How raw scores are normalised (Bogolin et al., "Cross Modal Retrieval with
/// Querybank Normalisation", CVPR 2022).
enum class Method : std::uint32_t {
    none = 0,  ///< raw scores
    is = 1,    ///< Inverted Softmax: every query ranks by s - offset
    dis = 2,   ///< Dynamic Inverted Softmax: only queries whose raw top-1 is
               ///< in the activation set rank by s - offset
};

/// A method and its hyperparameters.
struct Normalization {
    Method method = Method::dis;
    /// Inverse temperature of the softmax, in (0, 1e4]. The published 20 suits
    /// unit vectors under the inner product.
    float beta = 20.0F;
    /// The activation set holds each bank query's top `activation_k` items, of
    /// 1 to 2^30.
    idx_t activation_k = 1;

    bool operator==(const Normalization&) const = default;
};

inline constexpr float max_beta = 1e4F;
inline constexpr idx_t max_activation_k = idx_t{1} << 30;

/// Throws unless every hyperparameter is in its range.
void check(const Normalization& normalization);

/// "none", "is", "dis"; an unknown name throws.
Method method_from_name(std::string_view name);
std::string name_of(Method method);

/// "ip", "l2"; an unknown name throws.
Metric metric_from_name(std::string_view name);
std::string name_of(Metric metric);

/// Whether the gate of a query opens, so that it ranks by s - offset.
/// `top1_active`: whether its raw top-1 is in the activation set.
inline bool gate_opens(Method method, bool top1_active) {
    return method == Method::is || (method == Method::dis && top1_active);
}

}  // namespace faiss_qbnorm
