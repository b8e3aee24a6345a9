// Oracle: plain loops over doubles and integers; for exact scores, formula.h's
// exact_score.

#include "tests/cuda/kernels.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "cuda/cta_select.h"
#include "cuda/kernel_shortlist.h"
#include "faiss_qbnorm/core/formula.h"
#include "faiss_qbnorm/core/normalization.h"

namespace {

using namespace faiss_qbnorm;
using namespace faiss_qbnorm::cuda;
using kernels::OnDevice;

using Limits = std::numeric_limits<float>;

TEST(Keys, AscendAsScoresDo) {
    const float ascending[] = {-INFINITY,
                               -Limits::max(),
                               -1,
                               -Limits::min(),
                               -Limits::min() / 2,
                               -Limits::denorm_min(),
                               0,
                               Limits::denorm_min(),
                               Limits::min() / 2,
                               Limits::min(),
                               1,
                               Limits::max(),
                               INFINITY};
    std::uint32_t before = 0;
    for (const float score : ascending) {
        EXPECT_LT(before, score_key(score)) << score;
        EXPECT_EQ(key_score(score_key(score)), score);
        before = score_key(score);
    }
    EXPECT_EQ(score_key(-0.0F), score_key(0.0F));
    EXPECT_FALSE(std::signbit(key_score(score_key(-0.0F))));
}

TEST(Keys, RankItemsByScoreThenLabel) {
    struct Item {
        float score;
        std::uint32_t item;
    };
    std::vector<Item> items;
    for (const float score : {-INFINITY, -2.0F, -0.0F, 0.0F, 1e-40F, 3.0F}) {
        for (const std::uint32_t item : {0U, 1U, 7U, 1U << 31, ~0U}) {
            items.push_back({score, item});
        }
    }
    for (const Item& a : items) {
        EXPECT_NE(item_key(a.score, a.item), 0U);
        EXPECT_EQ(key_item(item_key(a.score, a.item)), a.item);
        EXPECT_EQ(key_score(item_key(a.score, a.item)), a.score);
        for (const Item& b : items) {
            const bool first =
                a.score > b.score || (a.score == b.score && a.item < b.item);
            EXPECT_EQ(item_key(a.score, a.item) > item_key(b.score, b.item),
                      first)
                << a.score << ", " << a.item << "; " << b.score << ", "
                << b.item;
        }
    }
}

/// Two sums and two maxima in a row: shared memory is used again at once.
template <int Threads>
__global__ void kernel_totals(const int* values, int* sums,
                              std::uint64_t* maxima) {
    const auto thread = static_cast<int>(threadIdx.x);
    sums[thread] = cta_sum<Threads>(values[thread]);
    sums[Threads + thread] = cta_sum<Threads>(values[Threads + thread]);
    maxima[thread] = cta_max<Threads>(item_key(1, values[thread]));
    maxima[Threads + thread] =
        cta_max<Threads>(item_key(1, values[Threads + thread]));
}

template <int Threads>
void expect_totals() {
    kernels::for_seeds([] {
        std::mt19937 random(5);
        std::vector<int> values(2 * Threads);
        for (int& x : values) x = static_cast<int>(random() % 2001);
        const OnDevice<int> in(values);
        const OnDevice<int> sums(2 * Threads, -1);
        const OnDevice<std::uint64_t> maxima(2 * Threads, 0);
        kernels::run(kernel_totals<Threads>, dim3(1), Threads, in.data(),
                     sums.data(), maxima.data());
        for (int half = 0; half < 2; half++) {
            const auto begin = values.begin() + half * Threads;
            const int sum = std::accumulate(begin, begin + Threads, 0);
            const int least = *std::min_element(begin, begin + Threads);
            for (int i = half * Threads; i < (half + 1) * Threads; i++) {
                ASSERT_EQ(sums.read()[i], sum) << i;
                ASSERT_EQ(key_item(maxima.read()[i]), least) << i;
            }
        }
    });
}

TEST(Cta, EveryThreadLearnsSumAndMaximum) {
    expect_totals<32>();
    expect_totals<256>();
}

/// `items` keys a thread; every thread writes its pivot.
template <int Threads>
__global__ void kernel_pivot(const std::uint32_t* keys, int items, int least,
                             int most, std::uint32_t* pivots) {
    const auto thread = static_cast<int>(threadIdx.x);
    const auto count_from = [&](std::uint32_t pivot) {
        int reached = 0;
        for (int i = 0; i < items; i++) {
            reached += keys[i * Threads + thread] >= pivot;
        }
        return reached;
    };
    std::uint32_t high = 0;
    for (int i = 0; i < items * Threads; i++) high = max(high, keys[i]);
    pivots[thread] = cta_pivot<Threads>(0U, high + 1, least, most, count_from);
}

template <int Threads>
void expect_pivots(const std::vector<std::uint32_t>& keys) {
    const auto size = static_cast<int>(keys.size());
    std::vector<std::uint32_t> sorted = keys;
    std::sort(sorted.rbegin(), sorted.rend());
    const OnDevice<std::uint32_t> in(keys);
    for (const int least : {1, 5, size / 2, size}) {
        for (const int extra : {0, 1, least / 8 + 1}) {
            SCOPED_TRACE(testing::Message() << least << " + " << extra);
            const OnDevice<std::uint32_t> pivots(Threads, 0);
            kernels::run(kernel_pivot<Threads>, dim3(1), Threads, in.data(),
                         size / Threads, least, least + extra, pivots.data());
            const std::uint32_t pivot = pivots.read()[0];
            ASSERT_EQ(pivots.read(),
                      std::vector<std::uint32_t>(Threads, pivot));
            const auto reached =
                std::count_if(keys.begin(), keys.end(),
                              [&](auto key) { return key >= pivot; });
            ASSERT_GE(reached, least);
            if (reached > least + extra) {
                // Only ties are too many, and no higher pivot would do.
                ASSERT_EQ(pivot, sorted[least - 1]);
            }
        }
    }
}

TEST(Cta, PivotLetsAsManyThroughAsAsked) {
    kernels::for_seeds([] {
        std::mt19937 random(6);
        for (const std::uint32_t values : {1U, 3U, 1000U, ~0U - 1}) {
            std::vector<std::uint32_t> keys(512);
            for (auto& key : keys) key = random() % values;
            keys[17] = 0;
            expect_pivots<32>({keys.begin(), keys.begin() + 96});
            expect_pivots<256>(keys);
        }
    });
}

template <int Threads>
__global__ void kernel_sort(std::uint64_t* keys, int size) {
    __shared__ std::uint64_t shared[1024];
    for (int i = static_cast<int>(threadIdx.x); i < size; i += Threads) {
        shared[i] = keys[i];
    }
    cta_sort_descending<Threads>(shared, size);
    for (int i = static_cast<int>(threadIdx.x); i < size; i += Threads) {
        keys[i] = shared[i];
    }
}

TEST(Cta, SortsAnyPowerOfTwo) {
    kernels::for_seeds([] {
        std::mt19937_64 random(7);
        for (const int size : {1, 2, 4, 32, 64, 256, 512, 1024}) {
            for (const std::uint64_t values : {std::uint64_t{3}, ~0UL}) {
                std::vector<std::uint64_t> keys(size);
                for (auto& key : keys) key = random() % values;
                const OnDevice<std::uint64_t> narrow(keys);
                const OnDevice<std::uint64_t> wide(keys);
                kernels::run(kernel_sort<32>, dim3(1), 32, narrow.data(), size);
                kernels::run(kernel_sort<256>, dim3(1), 256, wide.data(), size);
                std::sort(keys.rbegin(), keys.rend());
                EXPECT_EQ(narrow.read(), keys) << size;
                EXPECT_EQ(wide.read(), keys) << size;
            }
        }
    });
}

/// Rows of small numbers, and large ones that cancel: what is lost beside them
/// depends on the order of the sum.
std::vector<float> touchy(idx_t rows, int d, std::uint32_t seed, bool negate) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> data(rows * d);
    for (float& x : data) x = normal(random);
    for (idx_t i = 0; d > 1 && i < rows; i++) {
        data[i * d] = 0x1p27F;
        data[i * d + d / 2] = negate ? -0x1p27F : 0x1p27F;
    }
    return data;
}

struct Exact {
    Metric metric;
    int d;
    static constexpr idx_t items = 40;
    static constexpr idx_t nq = 5;
    const std::vector<float> gallery = touchy(items, d, 1, false);
    const std::vector<float> queries = touchy(nq, d, 2, true);
    const std::vector<float> offsets = kernels::lattice(items, 4, 3);
    const OnDevice<float> device_gallery{gallery};
    const OnDevice<float> device_queries{queries};
    const OnDevice<float> device_offsets{offsets};

    ExactArguments arguments(bool with_offsets) const {
        return {metric, d, device_queries, device_gallery,
                with_offsets ? device_offsets.data() : nullptr};
    }
    float score(idx_t query, idx_t row, bool with_offsets) const {
        const float score = exact_score(metric, queries.data() + query * d,
                                        gallery.data() + row * d, d);
        return with_offsets ? score - offsets[row] : score;
    }
    /// Whether another order of the sum gives another score.
    bool order_matters() const {
        int differences = 0;
        for (idx_t i = 0; i < nq * items; i++) {
            double sum = 0;
            for (int j = 0; j < d; j++) {
                sum += double{queries[i / items * d + j]} *
                       gallery[i % items * d + j];
            }
            differences +=
                static_cast<float>(sum) != score(i / items, i % items, false);
        }
        return differences > 0;
    }
};

constexpr int dimensions[] = {1, 7, 8, 9, 16, 33, 100};

TEST(ExactScores, OfPairsAreTheCpusToTheBit) {
    for (const Metric metric : {Metric::inner_product, Metric::l2}) {
        for (const int d : dimensions) {
            const Exact exact{metric, d};
            if (metric == Metric::inner_product && d > 8) {
                ASSERT_TRUE(exact.order_matters()) << d;
            }
            std::mt19937 random(4);
            for (const unsigned count : {1U, 31U, 32U, 33U, 70U}) {
                std::vector<Pair> pairs(count);
                for (Pair& pair : pairs) {
                    pair = {
                        static_cast<std::uint32_t>(random() % Exact::nq),
                        static_cast<std::uint32_t>(random() % Exact::items)};
                }
                const bool with_offsets = count % 2 == 0;
                const OnDevice<Pair> in(pairs);
                const OnDevice<float> scores(count + 1, -99);
                const OnDevice<std::uint32_t> rows(count + 1, 99);
                kernels::run(kernel_rescore,
                             dim3(kernels::blocks(count, rescore_pairs)),
                             rescore_threads, exact.arguments(with_offsets),
                             in.data(), count, scores.data(), rows.data());
                for (unsigned i = 0; i < count; i++) {
                    ASSERT_EQ(rows.read()[i], pairs[i].row);
                    ASSERT_EQ(
                        scores.read()[i],
                        exact.score(pairs[i].query, pairs[i].row, with_offsets))
                        << name_of(metric) << ", d " << d << ", pair " << i;
                }
                EXPECT_EQ(scores.read()[count], -99);
                EXPECT_EQ(rows.read()[count], 99);
            }
        }
    }
}

TEST(ExactScores, OfAllRowsAreTheCpusToTheBit) {
    const std::vector<std::uint32_t> which = {4, 0, 2};
    for (const Metric metric : {Metric::inner_product, Metric::l2}) {
        for (const int d : dimensions) {
            const Exact exact{metric, d};
            const OnDevice<std::uint32_t> queries(which);
            for (const auto& [first, rows] :
                 {std::pair<idx_t, idx_t>{0, 40}, {3, 1}, {5, 31}, {6, 32}}) {
                const bool with_offsets = rows % 2 == 0;
                const OnDevice<float> scores(3 * rows, -99);
                kernels::run(kernel_exact,
                             dim3(kernels::blocks(rows, rescore_pairs), 3),
                             rescore_threads, exact.arguments(with_offsets),
                             queries.data(), first, rows, scores.data());
                const auto got = scores.read();
                for (idx_t i = 0; i < 3 * rows; i++) {
                    ASSERT_EQ(got[i],
                              exact.score(which[i / rows], first + i % rows,
                                          with_offsets))
                        << name_of(metric) << ", d " << d << ", place " << i;
                }
            }
        }
    }
}

}  // namespace
