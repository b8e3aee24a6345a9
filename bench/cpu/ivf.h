#pragma once

#include <faiss/IndexFlat.h>
#include <faiss/IndexIVF.h>

#include <memory>

#include "bench/common/data.h"
#include "bench/cpu/oracle.h"

namespace bench {

/// `lists` centroids from a few rounds of k-means: as good as more of them
/// where only times are compared.
std::unique_ptr<faiss::IndexFlatIP> coarse_quantizer(const MatrixView& sample,
                                                     idx_t lists);

/// The double scores that a search of these queries over the lists it probes
/// should see.
RawScores probed_products(const faiss::IndexIVF& ivf,
                          const MatrixView& queries);

}  // namespace bench
