#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/cpu/engine_cpu.h"
#ifdef QBNORM_TEST_CUDA
#include "cuda/engine_cuda.h"
#endif

/// The same cases for every engine of a test program: the CPU's, and the CUDA
/// engine on a device or, in test_cuda_host, on the stand-in for one.

namespace engines {

using faiss_qbnorm::CpuProducts;
using faiss_qbnorm::Engine;
using faiss_qbnorm::Precision;

/// How work is cut: as users get it, or small, so that little data has many
/// tiles, chunks and overflows.
enum class Cut { usual, small };

struct Kind {
    std::string name;
    bool cuda = false;
    Precision precision = Precision::automatic;
    CpuProducts products = CpuProducts::automatic;

    /// What offsets may err by beyond a double computation, on scores of
    /// about 1 (engine_cpu.h, engine_cuda.h).
    double tolerance(double beta) const {
        if (!cuda) return precision == Precision::bf16 ? 4e-3 : 2e-6;
        const double product = precision == Precision::fp32 ? 2e-6 : 1e-3;
        return product + 1e-6 / beta;
    }
};

inline void PrintTo(const Kind& kind, std::ostream* out) {
    *out << kind.name;
}

inline std::vector<Kind> all() {
    std::vector<Kind> kinds;
#ifndef QBNORM_TEST_ONLY_CUDA
    kinds.push_back({"cpu"});
    kinds.push_back({"cpu_blas", false, Precision::fp32, CpuProducts::blas});
    kinds.push_back({"cpu_bf16", false, Precision::bf16});
#endif
#ifdef QBNORM_TEST_CUDA
    kinds.push_back({"cuda_fp32", true, Precision::fp32});
    kinds.push_back({"cuda_fp16", true, Precision::fp16});
    kinds.push_back({"cuda_auto", true, Precision::automatic});
#endif
    return kinds;
}

#ifdef QBNORM_TEST_CUDA
inline faiss_qbnorm::CudaTiles cuda_tiles(Cut cut) {
    faiss_qbnorm::CudaTiles tiles;
    tiles.reserve_bytes = 0;
    if (cut == Cut::usual) {
#ifdef QBNORM_TEST_ONLY_CUDA
        tiles.probe_rows = 32;  // whole tiles take long without a device
        tiles.tile_columns = 256;
#endif
        return tiles;
    }
    tiles.tile_bytes = 24 * 256 * 2;  // 24 items of half, 12 of float
    tiles.tile_columns = 256;
    tiles.probe_rows = 24;
    tiles.scan_rows = 40;
    tiles.shortlist_least = 4;
    tiles.shortlist_most = 64;
    tiles.shortlist_bytes = 128 * 64 * 8;
    tiles.chunk_bytes = 100 * 16 * 4;
    tiles.exact_scores = 512;
    tiles.rerank_candidates = 100;
    return tiles;
}
#endif

/// Sizes about the usual tiles' edges, and fewer of all where kernels run on
/// the CPU.
struct Edges {
#ifdef QBNORM_TEST_ONLY_CUDA
    std::vector<faiss_qbnorm::idx_t> items{1, 2, 31, 32, 33};
    std::vector<faiss_qbnorm::idx_t> bank{1, 256, 257};
    std::vector<faiss_qbnorm::idx_t> queries{1, 7, 9};
    std::vector<float> betas{20};  // test_fit.cpp has more
    std::vector<faiss_qbnorm::idx_t> blocks{77, 499};
    faiss_qbnorm::idx_t some_items = 151;
    faiss_qbnorm::idx_t some_queries = 41;
    faiss_qbnorm::idx_t many_items = 301;
    faiss_qbnorm::idx_t large_bank = 401;
#else
    std::vector<faiss_qbnorm::idx_t> items{1, 2, 255, 256, 257, 1025};
    std::vector<faiss_qbnorm::idx_t> bank{1, 256, 257, 1025};
    std::vector<faiss_qbnorm::idx_t> queries{1, 8, 9, 257};
    std::vector<float> betas{0.5F, 20, 1000};
    std::vector<faiss_qbnorm::idx_t> blocks{1, 77, 499};
    faiss_qbnorm::idx_t some_items = 403;
    faiss_qbnorm::idx_t some_queries = 203;
    faiss_qbnorm::idx_t many_items = 1003;
    faiss_qbnorm::idx_t large_bank = 1501;
#endif
};

inline std::unique_ptr<Engine> make([[maybe_unused]] const Kind& kind,
                                    Cut cut) {
#ifdef QBNORM_TEST_CUDA
    if (kind.cuda) {
        return faiss_qbnorm::make_engine_cuda(0, kind.precision,
                                              cuda_tiles(cut));
    }
#endif
    faiss_qbnorm::CpuOptions options{kind.precision, kind.products};
    if (cut == Cut::small) options.tiles = {16, 32};
    return faiss_qbnorm::make_engine_cpu(options);
}

/// Why tests of this engine cannot run here; empty where they can.
inline std::string missing(const Kind& kind) {
    try {
        make(kind, Cut::small);
        return {};
    } catch (const faiss_qbnorm::Error& problem) {
        return problem.what();
    }
}

/// A test that runs once on every engine.
class OnEveryEngine : public testing::TestWithParam<Kind> {
  protected:
    void SetUp() override {
        const std::string problem = missing(GetParam());
        if (!problem.empty()) {
            // A CPU that cannot run is a failure, not a missing device.
            const bool may_miss =
                GetParam().cuda || GetParam().precision == Precision::bf16;
            if (!may_miss) FAIL() << problem;
            GTEST_SKIP() << problem;
        }
    }

    static std::unique_ptr<Engine> make(Cut cut = Cut::usual) {
        return engines::make(GetParam(), cut);
    }
};

inline std::string name_of(const testing::TestParamInfo<Kind>& info) {
    return info.param.name;
}

}  // namespace engines

#define QBNORM_ON_EVERY_ENGINE(suite) \
    INSTANTIATE_TEST_SUITE_P(         \
        Engines, suite, testing::ValuesIn(engines::all()), engines::name_of)
