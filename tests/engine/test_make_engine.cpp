// Oracle: the names documented in make_engine.h.

#include "faiss_qbnorm/make_engine.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "faiss_qbnorm/core/error.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

class MakeEngine : public testing::Test {
  protected:
    void SetUp() override { unsetenv("QBNORM_ENGINE"); }
    void TearDown() override { unsetenv("QBNORM_ENGINE"); }
};

TEST_F(MakeEngine, MakesTheEngineThatIsNamed) {
    EXPECT_EQ(make_engine("cpu")->name(), "cpu");
    EXPECT_EQ(make_engine("cpu:blas")->name(), "cpu:blas");
    EXPECT_EQ(make_engine()->name(), engine_names().front());
}

TEST_F(MakeEngine, ReadsTheEnvironment) {
    setenv("QBNORM_ENGINE", "cpu", 1);
    EXPECT_EQ(make_engine()->name(), "cpu");
    setenv("QBNORM_ENGINE", "cpu:blas", 1);
    EXPECT_EQ(make_engine()->name(), "cpu:blas");
    setenv("QBNORM_ENGINE", "quantum", 1);
    EXPECT_THROW_SAYING(make_engine(), Error, "unknown engine 'quantum'");
    EXPECT_EQ(make_engine("cpu")->name(), "cpu");  // the name comes first
}

TEST_F(MakeEngine, NeverFallsBackQuietly) {
    EXPECT_THROW_SAYING(make_engine("CPU"), Error, "this build has: cpu");
    EXPECT_THROW_SAYING(make_engine("cpu", Precision::fp16), Error,
                        "the cpu engine computes in fp32 or bf16, not fp16");
    EXPECT_THROW_SAYING(make_engine("cpu:blas", Precision::bf16), Error,
                        "bf16 needs oneDNN");
}

TEST_F(MakeEngine, KnowsItsNames) {
    for (const char* name : {"", "CPU", "cpu:0", "cuda:", "cuda:x", "cuda:-1",
                             "cuda:1x", "cuda1", "cudas"}) {
        EXPECT_FALSE(is_engine_name(name)) << name;
    }
    for (const std::string& name : engine_names()) {
        EXPECT_TRUE(is_engine_name(name)) << name;
    }
#ifdef QBNORM_TEST_CUDA
    EXPECT_EQ(engine_names(),
              (std::vector<std::string>{"cpu", "cpu:blas", "cuda"}));
    EXPECT_TRUE(is_engine_name("cuda:12"));
    EXPECT_THROW_SAYING(make_engine("cuda:9999"), Error, "device");
#else
    EXPECT_EQ(engine_names(), (std::vector<std::string>{"cpu", "cpu:blas"}));
    EXPECT_FALSE(is_engine_name("cuda"));
    EXPECT_THROW_SAYING(make_engine("cuda"), Error, "unknown engine 'cuda'");
#endif
}

}  // namespace
