#pragma once

#include <faiss/IndexIVF.h>

#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm {

/// What an IVF index's search reads from the index and its parameters.
struct IvfSettings {
    idx_t nprobe;
    size_t max_codes;  ///< 0: no limit
    const faiss::IDSelector* sel = nullptr;
    const faiss::SearchParameters* quantizer_params = nullptr;
    /// Whether what the selector stops does not count into max_codes.
    bool counts_members;

    IvfSettings(const faiss::IndexIVF& ivf,
                const faiss::SearchParameters* given);

    bool sees_all(const faiss::IndexIVF& ivf) const {
        return nprobe == static_cast<idx_t>(ivf.nlist) && max_codes == 0;
    }
};

}  // namespace faiss_qbnorm
