#include "bench/cpu/gemm_onednn.h"

// Of builds without oneDNN.

namespace bench {

std::vector<std::pair<std::string, Multiply>> onednn_products(
    const faiss_qbnorm::MatrixView&, faiss_qbnorm::idx_t) {
    return {};
}

std::string onednn_version() {
    return "not in this build";
}

}  // namespace bench
