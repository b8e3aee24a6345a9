// Oracle: naive loops and a full sort.

#include "faiss_qbnorm/cpu/simd_rerank.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "tests/cpu/guarded.h"
#include "tests/cpu/instruction_sets.h"

namespace {

using namespace faiss_qbnorm;
using Floats = guarded::Array<float>;
using Labels = guarded::Array<idx_t>;
using Places = guarded::Array<std::int32_t>;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr idx_t first_label = 100;
constexpr idx_t last_label = 900;

class SimdRerank : public instruction_sets::OnEach {};
QBNORM_ON_EACH_INSTRUCTION_SET(SimdRerank);

/// Of few values, hence with ties, where `levels` is small.
std::vector<float> scores(int n, int levels, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<float> values(n);
    for (float& x : values) {
        x = static_cast<float>(random() % levels) / 8 - 2;
    }
    return values;
}

std::vector<idx_t> labels(int n, bool with_none, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<idx_t> result(n);
    for (idx_t& label : result) {
        label = first_label +
                static_cast<idx_t>(random() % (last_label - first_label));
        if (with_none && random() % 5 == 0) label = -1;
    }
    return result;
}

simd::ListLook naive_look(const std::vector<float>& scores,
                          const std::vector<idx_t>& labels) {
    simd::ListLook look;
    float best = 0;
    for (size_t i = 0; i < scores.size(); i++) {
        const idx_t label = labels[i];
        if (label == -1) continue;
        look.bad = look.bad || !std::isfinite(scores[i]) ||
                   label < first_label || label >= last_label;
        if (look.top1 == -1 || scores[i] > best ||
            (scores[i] == best && label < look.top1)) {
            look.top1 = label;
            best = scores[i];
        }
    }
    return look;
}

void expect_look(const std::vector<float>& scores,
                 const std::vector<idx_t>& labels) {
    const Floats guarded_scores(scores);
    const Labels guarded_labels(labels);
    const simd::ListLook right = naive_look(scores, labels);
    for (const bool wants_top1 : {false, true}) {
        const simd::ListLook got =
            simd::look_at_list(guarded_scores.data(), guarded_labels.data(),
                               static_cast<idx_t>(scores.size()), first_label,
                               last_label, wants_top1);
        ASSERT_EQ(got.bad, right.bad) << scores.size();
        if (right.bad || !wants_top1) continue;
        ASSERT_EQ(got.top1, right.top1) << scores.size();
    }
}

TEST_P(SimdRerank, LookAtListFindsTheFirst) {
    expect_look({}, {});
    for (const int n : instruction_sets::sizes()) {
        for (const int levels : {2, 1000000}) {
            for (const bool with_none : {false, true}) {
                expect_look(scores(n, levels, n), labels(n, with_none, n));
                if (HasFatalFailure()) return;
            }
        }
        expect_look(std::vector<float>(n, -infinity),
                    std::vector<idx_t>(n, -1));
    }
}

TEST_P(SimdRerank, LookAtListFindsWhatIsBad) {
    for (const int n : instruction_sets::sizes()) {
        for (const int at : {0, n / 2, n - 1}) {
            for (const float bad : {nan, infinity, -infinity}) {
                std::vector<float> some = scores(n, 9, n);
                some[at] = bad;
                std::vector<idx_t> of = labels(n, false, n);
                expect_look(some, of);
                of[at] = -1;  // of no candidate it does not matter
                expect_look(some, of);
            }
            for (const idx_t bad : {first_label - 1, last_label, idx_t{-2}}) {
                std::vector<idx_t> of = labels(n, false, n);
                of[at] = bad;
                expect_look(scores(n, 9, n), of);
            }
            if (HasFatalFailure()) return;
        }
    }
}

TEST_P(SimdRerank, SubtractOffsetsAndCopyScores) {
    const Floats offsets(scores(last_label - first_label, 77, 3));
    for (const int n : instruction_sets::sizes()) {
        const Floats from(scores(n, 99, n));
        const Labels of(labels(n, true, n));
        Floats less(n, nan);
        Floats copied(n, nan);
        simd::subtract_offsets(from.data(), of.data(), n, offsets.data(),
                               first_label, less.data());
        simd::copy_scores(from.data(), of.data(), n, copied.data());
        for (int i = 0; i < n; i++) {
            const bool none = of[i] == -1;
            ASSERT_EQ(copied[i], none ? -infinity : from[i]);
            ASSERT_EQ(less[i], none ? -infinity
                                    : from[i] - offsets[of[i] - first_label]);
        }
    }
}

void expect_contenders(const Floats& values, idx_t k) {
    const auto n = static_cast<idx_t>(values.size());
    Places places(n + simd::more_places, -1);
    const idx_t found = simd::contenders(values.data(), n, k, places.data());
    ASSERT_LE(found, n);
    ASSERT_TRUE(std::is_sorted(places.data(), places.data() + found,
                               std::less_equal<>()));  // none twice
    std::vector<float> sorted(values.begin(), values.end());
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    const float least = sorted[std::min(k, n) - 1];
    const auto wanted = std::count_if(sorted.begin(), sorted.end(),
                                      [&](float x) { return x >= least; });
    const auto have =
        std::count_if(places.data(), places.data() + found,
                      [&](std::int32_t i) { return values[i] >= least; });
    ASSERT_EQ(have, wanted) << n << ", k " << k;
}

TEST_P(SimdRerank, ContendersHoldTheBestAndAllThatTie) {
    std::vector<int> sizes = instruction_sets::sizes();
    sizes.insert(sizes.end(), {1000, 1003});
    for (const int n : sizes) {
        for (const int levels : {1, 5, 1000000}) {
            std::vector<float> some = scores(n, levels, n);
            for (const bool with_none : {false, true}) {
                if (with_none) some[n / 2] = some[0] = -infinity;
                const Floats values(some);
                for (const idx_t k : {1, 2, 3, 10, 11, 39, 40}) {
                    expect_contenders(values, k);
                    if (HasFatalFailure()) return;
                }
            }
        }
    }
}

TEST_P(SimdRerank, ContendersAreFewWhereFewAreWanted) {
    const Floats values(scores(1024, 1000000, 1));
    for (const idx_t k : {1, 10, 40}) {
        Places places(1024 + simd::more_places);
        EXPECT_LE(simd::contenders(values.data(), 1024, k, places.data()),
                  8 * k + 64);
    }
}

TEST_P(SimdRerank, RankCountsWhatIsLarger) {
    for (int n = 0; n <= simd::most_ranked; n++) {
        for (const int levels : {20, 1000000}) {
            const std::vector<float> some = scores(n, levels, n);
            const Floats values(some);
            Places ranks(n, -1);
            std::vector<float> sorted = some;
            std::sort(sorted.begin(), sorted.end());
            const bool distinct =
                std::adjacent_find(sorted.begin(), sorted.end()) ==
                sorted.end();
            ASSERT_EQ(simd::rank(values.data(), n, ranks.data()), distinct)
                << n;
            for (int i = 0; i < n; i++) {
                ASSERT_EQ(ranks[i],
                          std::count_if(some.begin(), some.end(),
                                        [&](float x) { return x > some[i]; }));
            }
        }
    }
}

}  // namespace
