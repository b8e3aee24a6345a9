#pragma once

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <bit>
#include <cstdint>
#include <string>
#include <vector>

#include "faiss_qbnorm/cpu/simd.h"

/// The same cases for every instruction set that the inner loops are compiled
/// for: the library chooses through Highway, which can be told what is there.

namespace instruction_sets {

inline std::vector<std::int64_t> compiled_in() {
    std::vector<std::int64_t> targets;
    for (std::int64_t left = HWY_TARGETS; left != 0; left &= left - 1) {
        targets.push_back(left & -left);
    }
    return targets;
}

/// Where Highway's tables have a target; the first place is "not chosen yet".
inline size_t place_in_tables(std::int64_t target) {
    const std::int64_t places =
        HWY_CHOSEN_TARGET_SHIFT(target) | HWY_CHOSEN_TARGET_MASK_SCALAR;
    return std::countr_zero(static_cast<std::uint64_t>(places));
}

/// A test that runs once on every instruction set of this processor.
class OnEach : public testing::TestWithParam<std::int64_t> {
  protected:
    void SetUp() override {
        const std::int64_t target = GetParam();
        const std::string name = hwy::TargetName(target);
        if ((hwy::SupportedTargets() & target) == 0) {
            GTEST_SKIP() << "this processor has no " << name;
        }
        hwy::SetSupportedTargetsForTest(target);
        ASSERT_EQ(faiss_qbnorm::simd::instruction_set(), name);
        if (compiled_in().size() > 1) {  // else nothing is chosen
            ASSERT_EQ(hwy::GetChosenTarget().GetIndex(),
                      place_in_tables(target));
        }
    }
    /// Floats in a vector.
    static int lanes() {
        const std::string name = hwy::TargetName(GetParam());
        if (name == "SCALAR") return 1;
        if (name.starts_with("AVX3")) return 16;
        return name == "AVX2" ? 8 : 4;
    }

    void TearDown() override { hwy::SetSupportedTargetsForTest(0); }
};

inline std::string name_of(const testing::TestParamInfo<std::int64_t>& info) {
    return hwy::TargetName(info.param);
}

/// Sizes with every tail that vectors of up to 64 bytes leave.
inline std::vector<int> sizes() {
    std::vector<int> result;
    for (int n = 1; n <= 70; n++) result.push_back(n);
    result.insert(result.end(), {255, 256, 257});
    return result;
}

}  // namespace instruction_sets

#define QBNORM_ON_EACH_INSTRUCTION_SET(suite)                            \
    INSTANTIATE_TEST_SUITE_P(                                            \
        Simd, suite, testing::ValuesIn(instruction_sets::compiled_in()), \
        instruction_sets::name_of)
