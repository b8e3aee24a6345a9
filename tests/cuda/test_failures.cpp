// Oracle: the answers of the same engine where nothing fails; CUDA's own texts.

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <set>
#include <thread>

#include "cuda/bound.h"
#include "cuda/engine_cuda.h"
#include "cuda/rerank.h"
#include "faiss_qbnorm/cpu/engine_cpu.h"
#include "faiss_qbnorm/fit.h"
#include "faiss_qbnorm/search.h"
#include "host_runtime.h"
#include "tests/data.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

constexpr int d = 6;  // so that float rows do not serve as they are
constexpr idx_t items = 60;
constexpr idx_t nq = 4;

/// What an operation gave.
struct Result {
    std::vector<float> scores;
    std::vector<idx_t> labels;
    bool operator==(const Result&) const = default;
};

/// Several tiles, chunks, batches and lists that are too short.
CudaTiles tiles(bool streamed) {
    CudaTiles tiles;
    tiles.tile_bytes = 1;
    tiles.tile_columns = 256;
    tiles.probe_rows = 32;
    tiles.shortlist_least = 4;
    tiles.shortlist_most = 32;
    tiles.chunk_bytes = idx_t{24} * d * 4;
    tiles.exact_scores = 100;
    tiles.rerank_candidates = 100;
    tiles.reserve_bytes = streamed ? idx_t{1} << 40 : 0;
    return tiles;
}

/// CUDA's own words.
std::string text_of(cudaError_t error) {
    return std::string(cudaGetErrorString(error)) + " (" +
           cudaGetErrorName(error) + ")";
}
std::string text_of(cublasStatus_t status) {
    return std::string(cublasGetStatusString(status)) + " (" +
           cublasGetStatusName(status) + ")";
}

class Failures : public testing::Test {
  protected:
    void SetUp() override {
        qbnorm_host::reset();
        before_ = qbnorm_host::live_objects();
        FitOptions options;
        options.normalization = {Method::dis, 20, 1};
        table_ = fit(*make_engine_cpu(), MemoryGallery(gallery_.view()),
                     bank_.view(), options);
    }
    void TearDown() override {
        qbnorm_host::reset();
        EXPECT_EQ(qbnorm_host::live_objects(), before_);
    }

    static std::unique_ptr<Engine> make(bool streamed = false) {
        return make_engine_cuda(0, Precision::automatic, tiles(streamed));
    }

    Result fit_bank(const Engine& engine, bool bound) const {
        const Normalization normalization{Method::dis, 20, 1};
        const auto bank = engine.bind_bank(Metric::l2, bank_.view());
        TopLists winners(bank_.rows, 3);
        Result result;
        result.scores.resize(items);
        const auto gallery =
            bound ? engine.bind_gallery(Metric::l2, {gallery_.view()})
                  : nullptr;
        const auto probe = engine.begin_probe(*bank, normalization,
                                              {0, result.scores, winners});
        if (bound) {
            probe->add(*gallery);
        } else {
            for (idx_t i = 0; i < items; i += 25) {
                const idx_t end = std::min(i + 25, items);
                probe->add({gallery_.view().slice(i, end), i});
            }
        }
        probe->finish();
        for (idx_t i = 0; i < bank_.rows; i++) {
            for (const Scored& item : winners.sorted(i)) {
                result.labels.push_back(item.label);
            }
        }
        return result;
    }

    Result search(const Engine& engine) const {
        Result result{std::vector<float>(nq * 5), std::vector<idx_t>(nq * 5)};
        exact_search(engine, MemoryGallery(gallery_.view()),
                     Metric::inner_product, &table_, Method::dis,
                     queries_.view(), 5,
                     {result.scores.data(), result.labels.data()});
        return result;
    }

    Result rerank(const Engine& engine) const {
        std::vector<idx_t> labels(nq * 30);
        std::vector<float> scores(nq * 30);
        for (size_t i = 0; i < labels.size(); i++) {
            labels[i] = static_cast<idx_t>(i * 7 % items);
            scores[i] = 0.01F * static_cast<float>(i * 13 % 97);
        }
        Result result{std::vector<float>(nq * 5), std::vector<idx_t>(nq * 5)};
        engine.rerank(*engine.bind_table(table_), Method::is,
                      {nq, 30, scores.data(), labels.data()}, 5,
                      {result.scores.data(), result.labels.data()});
        return result;
    }

    using Operation = std::function<Result(const Engine&)>;

    /// Fails each call of `operation` in turn: of an engine at work and, where
    /// `from_the_start`, of making it.
    void fail_each_call(const Operation& operation, bool streamed,
                        cudaError_t error, const std::set<std::string>& texts,
                        bool from_the_start = false) {
        auto engine = make(streamed);
        const Result right = operation(*engine);
        int failed = 0;
        int ignored = 0;
        for (std::uint64_t n = 1;; n++) {
            SCOPED_TRACE(testing::Message() << "call " << n);
            qbnorm_host::set_seed(n);
            if (from_the_start) engine.reset();
            const auto calls = qbnorm_host::call_count();
            qbnorm_host::fail_call(n, error);
            try {
                if (from_the_start) engine = make(streamed);
                EXPECT_EQ(operation(*engine), right);
                // Scopes' ends ignore errors: nobody is left to tell.
                if (qbnorm_host::call_count() < calls + n) break;
                ignored++;
            } catch (const Error& problem) {
                failed++;
                bool says_it = false;
                const std::string what = problem.what();
                for (const auto& text : texts) {
                    says_it = says_it || what.find(text) != std::string::npos;
                }
                EXPECT_TRUE(says_it) << what;
            }
            qbnorm_host::fail_call(0, cudaSuccess);
            if (!engine) continue;
            ASSERT_EQ(operation(*engine), right);  // as if nothing had been
        }
        qbnorm_host::fail_call(0, cudaSuccess);
        EXPECT_GT(failed, 10);
        EXPECT_LT(ignored * 4, failed);
    }

    void fail_each_call(const Operation& operation, bool streamed = false) {
        fail_each_call(operation, streamed, cudaErrorInvalidDevice,
                       {text_of(cudaErrorInvalidDevice),
                        text_of(CUBLAS_STATUS_EXECUTION_FAILED)});
    }

    qbnorm_host::LiveObjects before_;
    const Matrix gallery_ = testdata::unit(items, d, 1);
    const Matrix queries_ = testdata::unit(nq, d, 2);
    const Matrix bank_ = testdata::unit(5, d, 3);
    NormTable table_;
};

TEST_F(Failures, OfAnyCallAreErrorsWhereAProbeStreams) {
    fail_each_call([&](const Engine& e) { return fit_bank(e, false); });
}

TEST_F(Failures, OfAnyCallAreErrorsWhereAProbeReadsTheDevice) {
    fail_each_call([&](const Engine& e) { return fit_bank(e, true); });
}

TEST_F(Failures, OfAProbeThatIsKeptForAWhileLeaveTheEngineWell) {
    const auto engine = make();
    const Result right = fit_bank(*engine, false);
    const auto bank = engine->bind_bank(Metric::l2, bank_.view());
    for (std::uint64_t n = 1;; n++) {
        SCOPED_TRACE(testing::Message() << "call " << n);
        qbnorm_host::set_seed(n);
        TopLists winners(bank_.rows, 3);
        std::vector<float> offsets(items);
        const auto probe = engine->begin_probe(*bank, {Method::dis, 20, 1},
                                               {0, offsets, winners});
        qbnorm_host::fail_call(n, cudaErrorInvalidDevice);
        const auto calls = qbnorm_host::call_count();
        bool failed = false;
        try {
            probe->add({gallery_.view()});
            probe->finish();
        } catch (const Error&) {
            failed = true;
        }
        qbnorm_host::fail_call(0, cudaSuccess);
        if (!failed && qbnorm_host::call_count() < calls + n) break;
        ASSERT_EQ(fit_bank(*engine, false), right) << "while it is there";
    }
}

TEST_F(Failures, OfAnyCallAreErrorsInAScan) {
    fail_each_call([&](const Engine& e) { return search(e); });
}

TEST_F(Failures, OfAnyCallAreErrorsInAScanThatStreams) {
    fail_each_call([&](const Engine& e) { return search(e); }, true);
}

TEST_F(Failures, OfAnyCallAreErrorsInARerank) {
    fail_each_call([&](const Engine& e) { return rerank(e); });
}

TEST_F(Failures, OfAnyCallAreErrorsFromTheStart) {
    fail_each_call(
        [&](const Engine& e) { return rerank(e); }, false,
        cudaErrorMemoryAllocation,
        {"too little device memory: ", "too little page-locked host memory: ",
         text_of(cudaErrorMemoryAllocation),
         text_of(CUBLAS_STATUS_ALLOC_FAILED)},
        true);
}

TEST_F(Failures, ThatEndTheUseOfTheDeviceSaySo) {
    const Operation operations[] = {
        [&](const Engine& e) { return fit_bank(e, true); },
        [&](const Engine& e) { return search(e); },
        [&](const Engine& e) { return rerank(e); }};
    for (const Operation& operation : operations) {
        const auto engine = make();
        const auto calls = qbnorm_host::call_count();
        operation(*engine);
        const auto all = qbnorm_host::call_count() - calls;
        // Each a little after the one tried before; nobody hears of the last,
        // which is a scope's end.
        for (std::uint64_t n = 1; n < all; n += 1 + n / 8) {
            SCOPED_TRACE(testing::Message() << "call " << n << " of " << all);
            {
                const auto mine = make();
                qbnorm_host::fail_call(n, cudaErrorIllegalAddress, true);
                for (int again = 0; again < 2; again++) {
                    EXPECT_THROW_SAYING(operation(*mine), Error,
                                        "this process cannot use the device "
                                        "any more, start it again");
                }
            }
            qbnorm_host::reset();
        }
    }
}

TEST_F(Failures, NeedADeviceToBeThere) {
    qbnorm_host::set_device_count(0);
    EXPECT_THROW_SAYING(make(), Error, text_of(cudaErrorNoDevice));
    qbnorm_host::set_device_count(0, cudaErrorInsufficientDriver);
    EXPECT_THROW_SAYING(make(), Error, text_of(cudaErrorInsufficientDriver));
    qbnorm_host::set_device_count(2);
    for (const int device : {2, -1, 99}) {
        EXPECT_THROW_SAYING(make_engine_cuda(device), Error,
                            "there is no CUDA device " +
                                std::to_string(device) + "; the last one is 1");
    }
}

TEST_F(Failures, AreNotHadOnAnotherDevice) {
    const Result right = search(*make());
    qbnorm_host::set_device_count(3);
    const auto engine = make_engine_cuda(2, Precision::automatic, tiles(false));
    const auto streaming =
        make_engine_cuda(1, Precision::automatic, tiles(true));
    EXPECT_EQ(device_of(*engine->bind_table(table_)), 2);
    for (const int current : {0, 1}) {
        cudaSetDevice(current);
        EXPECT_EQ(search(*engine), right);
        EXPECT_EQ(search(*streaming), right);
        EXPECT_EQ(fit_bank(*engine, true), fit_bank(*streaming, false));
        int device = -1;
        cudaGetDevice(&device);
        EXPECT_EQ(device, current);  // as it was
    }
}

TEST_F(Failures, OfAGalleryToFitTheDeviceMakeItStream) {
    CudaTiles some = tiles(false);
    some.reserve_bytes = 100'000;
    const auto engine = make_engine_cuda(0, Precision::automatic, some);
    const auto is_resident = [&] {
        const auto bound =
            engine->bind_gallery(Metric::inner_product, {gallery_.view()});
        return dynamic_cast<cuda::CudaGallery&>(*bound).resident.has_value();
    };
    qbnorm_host::set_free_memory(200'000);
    ASSERT_TRUE(is_resident());
    const Result right = search(*engine);
    const Result fitted = fit_bank(*engine, true);
    const idx_t needed =
        cuda::bytes_of_rows(items + some.probe_rows, d, Precision::automatic);
    qbnorm_host::set_free_memory(some.reserve_bytes + needed);
    EXPECT_TRUE(is_resident());
    qbnorm_host::set_free_memory(some.reserve_bytes + needed - 1);
    EXPECT_FALSE(is_resident());
    EXPECT_EQ(search(*engine), right);
    EXPECT_EQ(fit_bank(*engine, true), fitted);
}

TEST_F(Failures, ToForeseeABoundGallerysBytesDoNotHappen) {
    const auto used = [] {
        size_t free = 0;
        size_t total = 0;
        cudaMemGetInfo(&free, &total);
        return static_cast<idx_t>(total - free);
    };
    for (const Precision precision :
         {Precision::automatic, Precision::fp32, Precision::fp16}) {
        for (const int dimension : {3, 8, 12, 17}) {
            for (const float size : {1.0F, 5.0F}) {  // 5: not as half
                Matrix gallery = testdata::unit(items, dimension, 1);
                for (float& x : gallery.data) x *= size;
                const auto engine =
                    make_engine_cuda(0, precision, tiles(false));
                const idx_t before = used();
                const auto bound = engine->bind_gallery(Metric::inner_product,
                                                        {gallery.view()});
                const idx_t most =
                    cuda::bytes_of_rows(items + 32, dimension, precision);
                EXPECT_LE(used() - before, most + 12) << dimension;
                EXPECT_GT(2 * (used() - before), most);
            }
        }
    }
}

TEST_F(Failures, OfATableToFitTheDeviceNameTheBytes) {
    const auto engine = make();
    qbnorm_host::set_free_memory(100);
    EXPECT_THROW_SAYING(
        engine->bind_table(table_), Error,
        "too little device memory: " + std::to_string(items * sizeof(float)) +
            " more bytes are needed, 100 of ");
    qbnorm_host::set_free_memory(1000);
    engine->bind_table(table_);
}

TEST_F(Failures, AreNotHadByConcurrentCalls) {
    const auto engine = make();
    const Result searched = search(*engine);
    const Result fitted = fit_bank(*engine, true);
    const Result reranked = rerank(*engine);
    qbnorm_host::set_eagerness(50);
    std::vector<std::thread> threads;
    std::atomic<int> wrong = 0;
    for (int thread = 0; thread < 4; thread++) {
        threads.emplace_back([&, thread] {
            for (int round = 0; round < 3; round++) {
                wrong += search(*engine) != searched;
                wrong += fit_bank(*engine, thread % 2 == 0) != fitted;
                wrong += rerank(*engine) != reranked;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0);
}

TEST_F(Failures, LeaveHandlesOfOtherEnginesAlone) {
    const auto engine = make();
    const auto cpu = make_engine_cpu();
    const auto table = cpu->bind_table(table_);
    EXPECT_EQ(device_of(*table), -1);
    EXPECT_THROW_SAYING(
        engine->rerank(*table, Method::is, {0, 0, nullptr, nullptr}, 1, {}),
        Error, "a handle of another engine");
    EXPECT_THROW_SAYING(
        rerank_on_device(*table, Metric::l2, Method::is, {}, nullptr), Error,
        "not bound by the cuda engine");
}

}  // namespace
