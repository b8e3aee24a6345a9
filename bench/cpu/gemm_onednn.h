#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "faiss_qbnorm/core/types.h"

namespace bench {

/// c = slab * bank^T, row-major.
using Multiply =
    std::function<void(const faiss_qbnorm::MatrixView& slab, float* c)>;

/// oneDNN's ways to multiply slabs of `rows` rows with this bank, by name; none
/// where the build has no oneDNN.
std::vector<std::pair<std::string, Multiply>> onednn_products(
    const faiss_qbnorm::MatrixView& bank, faiss_qbnorm::idx_t rows);

std::string onednn_version();

}  // namespace bench
