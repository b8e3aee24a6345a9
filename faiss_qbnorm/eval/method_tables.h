#pragma once

#include <functional>
#include <span>
#include <vector>

#include "faiss_qbnorm/core/method_scores.h"

namespace faiss_qbnorm {

/// The tables that some methods need, each fitted once for all whose columns
/// are the same.
struct MethodTables {
    std::vector<Method> methods;
    /// The first is of the Inverted Softmax family, which has bank lists.
    std::vector<NormTable> tables;
    std::vector<size_t> table_of;  ///< of each method; none and gc: the first

    TabledMethod tabled(size_t method) const {
        const bool needs =
            methods[method] != Method::none && methods[method] != Method::gc;
        return {methods[method], needs ? &tables[table_of[method]] : nullptr};
    }
    /// The raw first item of every bank query.
    std::vector<idx_t> bank_first() const;
};

/// `fit` makes the table of a Normalization: of vectors or of similarities.
MethodTables fit_methods(
    std::span<const Normalization> asked,
    const std::function<NormTable(const Normalization&)>& fit);

}  // namespace faiss_qbnorm
