#include "faiss_qbnorm/faiss/ivf_settings.h"

#include <faiss/impl/IDSelector.h>

#include <algorithm>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/faiss/built_against.h"

namespace faiss_qbnorm {

IvfSettings::IvfSettings(const faiss::IndexIVF& ivf,
                         const faiss::SearchParameters* given)
    : nprobe(static_cast<idx_t>(ivf.nprobe)),
      max_codes(ivf.max_codes),
      counts_members(QBNORM_FAISS_VERSION >= 11402) {
    if (given) {
        const auto* params =
            dynamic_cast<const faiss::SearchParametersIVF*>(given);
        require(params != nullptr,
                "an IVF base takes faiss::SearchParametersIVF");
        nprobe = static_cast<idx_t>(params->nprobe);
        max_codes = params->max_codes;
        sel = params->sel;
        quantizer_params = params->quantizer_params;
        // Of a sorted range the base visits the members alone.
        const auto* range = dynamic_cast<const faiss::IDSelectorRange*>(sel);
        if (range && range->assume_sorted) counts_members = true;
    }
    nprobe = std::min(nprobe, static_cast<idx_t>(ivf.nlist));
    require(nprobe > 0, "nprobe must be at least 1");
}

}  // namespace faiss_qbnorm
