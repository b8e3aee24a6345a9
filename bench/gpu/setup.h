#pragma once

#include <string>

#include "bench/common/data.h"
#include "bench/gpu/results.h"
#include "cuda/engine_cuda.h"

namespace bench {

/// The sizes of all benchmarks.
struct Setup {
    idx_t product_size = 8192;
    idx_t copy_bytes = idx_t{4} << 30;

    std::vector<int> dimensions{128, 256, 512, 1024};
    idx_t items = 1000000;
    idx_t bank = 10000;
    idx_t queries = 10000;
    idx_t k = 100;

    idx_t few_items = 5000000;
    int few_d = 512;
    std::vector<idx_t> few_queries{1, 4, 16};
    idx_t few_k = 10;

    idx_t table_items = 1000000000;
    idx_t candidates = 10000000;  ///< of all lists together
    std::vector<idx_t> list_lengths{100, 1000};

    idx_t streamed_floats = idx_t{1} << 30;  ///< of a gallery
    idx_t streamed_bank = 30000;
    std::vector<int> streamed_dimensions{128, 512};

    idx_t dis_items = 0;  ///< 0: by the free memory
    int dis_d = 128;
    idx_t dis_queries = 10000;
    idx_t dis_k = 10;

    bool small = false;
    /// Products and copies timed as one: as long as what they are compared to.
    int reference_calls = 10;
    faiss_qbnorm::CudaTiles tiles;

    /// Everything tiny, in seconds even where kernels run on a CPU.
    static Setup tiny();

    std::unique_ptr<faiss_qbnorm::Engine> engine() const {
        return faiss_qbnorm::make_engine_cuda(0, faiss_qbnorm::Precision::fp16,
                                              tiles);
    }
};

/// Throws unless all of the gallery is on the device.
void require_resident(const faiss_qbnorm::BoundGallery& gallery);

/// Vectors that device and host have room for: as `Setup::dis_items`.
idx_t items_that_fit(int d, const faiss_qbnorm::CudaTiles& tiles);

/// The machine, as the results name it.
Json machine();

}  // namespace bench
