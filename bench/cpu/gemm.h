#pragma once

#include "bench/common/data.h"
#include "bench/cpu/rows.h"

namespace bench {

/// The fp32 products alone of a probe: slabs of gallery rows x the whole bank,
/// one after the other into one buffer, by every library of this build. All
/// cores, as the libraries take them.
struct Gemm {
    std::vector<Contender> contenders;  ///< work in GF
    std::map<std::string, std::string> missing;
};

/// Keeps `bank` and as many `slabs` of `gallery` as it has; the memory must
/// live on. Throws where a product is wrong.
Gemm gemm_alone(const MatrixView& gallery, const MatrixView& bank, idx_t slabs);

/// Versions and settings of the libraries.
Json gemm_facts();

}  // namespace bench
