#include "faiss_qbnorm/cpu/product.h"

// Of a build without oneDNN.

namespace faiss_qbnorm {

std::unique_ptr<PackedRows> pack_for_onednn(const ProductShape&,
                                            const Factors&) {
    return nullptr;
}

bool has_onednn() {
    return false;
}

bool has_fast_bf16() {
    return false;
}

std::string onednn_instruction_set() {
    return {};
}

}  // namespace faiss_qbnorm
