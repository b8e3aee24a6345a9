// Oracle: plain loops and full sorts.

#include "tests/cuda/kernels.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "cuda/kernel_rerank.h"
#include "cuda/kernel_shortlist.h"
#include "faiss_qbnorm/core/normalization.h"

namespace {

using namespace faiss_qbnorm;
using namespace faiss_qbnorm::cuda;
using kernels::OnDevice;

constexpr unsigned capacity = 600;

/// One query's list before kernel_raise.
struct ListCase {
    unsigned count;   ///< appended; those past the capacity are lost
    int values;       ///< different scores: few make ties
    float threshold;  ///< below every score
    float error;
    int nans = 0;

    std::vector<float> scores(std::uint32_t seed) const {
        std::mt19937 random(seed);
        std::vector<float> result(std::min(count, capacity));
        for (float& x : result) {
            x = static_cast<float>(random() % values) / 64 - 2;
        }
        for (int i = 0; i < nans; i++) result[random() % result.size()] = NAN;
        return result;
    }
};

/// NaN before all, as its key has it.
bool above(float a, float b) {
    return std::isnan(a) ? !std::isnan(b) : a > b;
}

void expect_raised(const ListCase& c, int length, bool is_sample) {
    SCOPED_TRACE(testing::Message()
                 << c.count << " of " << c.values << " values, error "
                 << c.error << ", length " << length << ", sample "
                 << is_sample);
    // Two lists, so that each must keep to its own.
    const std::vector<float> scores[] = {c.scores(length), c.scores(99)};
    std::vector<Slot> slots(2 * capacity, Slot{-77, 12345});
    for (unsigned q = 0; q < 2; q++) {
        for (unsigned i = 0; i < scores[q].size(); i++) {
            slots[q * capacity + i] = {scores[q][i], 1000 * q + i};
        }
    }
    const OnDevice<float> thresholds(2, c.threshold);
    const OnDevice<float> errors(2, c.error);
    const OnDevice<unsigned> counts(2, c.count);
    const OnDevice<Slot> device_slots(slots);
    kernels::run(kernel_raise, dim3(2), shortlist_threads,
                 RaiseArguments{{thresholds, counts, device_slots, capacity},
                                length,
                                errors,
                                is_sample});
    for (unsigned q = 0; q < 2; q++) {
        const float raised = thresholds.read()[q];
        const unsigned count = counts.read()[q];
        if (c.count > capacity && !is_sample) {
            EXPECT_GE(count, overflowed);
            EXPECT_EQ(raised, INFINITY);  // nothing more is asked for
            continue;
        }
        std::vector<float> sorted = scores[q];
        std::sort(sorted.begin(), sorted.end(), above);
        const size_t most = length + length / 8 + 1;
        if (sorted.size() < static_cast<size_t>(length)) {
            EXPECT_EQ(raised, c.threshold);
        } else {
            const float highest =
                std::fmax(c.threshold, sorted[length - 1] - 2 * c.error);
            EXPECT_LE(raised, highest);
            EXPECT_GE(raised, c.threshold);
            // Only ties are too many.
            if (sorted.size() > most && !std::isinf(c.error)) {
                EXPECT_GE(raised, sorted[most] - 2 * c.error);
                if (raised == sorted[most] - 2 * c.error && c.error == 0) {
                    EXPECT_EQ(sorted[most], sorted[length - 1]);
                }
            }
        }
        if (is_sample) {
            EXPECT_EQ(count, 0U);
            continue;
        }
        // What reaches the threshold, and nothing else, is still there.
        std::vector<std::uint32_t> kept;
        for (unsigned i = 0; i < scores[q].size(); i++) {
            if (!(scores[q][i] < raised)) kept.push_back(1000 * q + i);
        }
        ASSERT_EQ(count, kept.size());
        std::vector<std::uint32_t> got;
        for (unsigned i = 0; i < count; i++) {
            const Slot slot = device_slots.read()[q * capacity + i];
            got.push_back(slot.row);
            const float score = scores[q].at(slot.row - 1000 * q);
            EXPECT_TRUE(slot.score == score ||
                        (std::isnan(slot.score) && std::isnan(score)));
        }
        std::sort(got.begin(), got.end());
        EXPECT_EQ(got, kept);
    }
}

TEST(Raise, KeepsWhatMayBelongToTheBest) {
    kernels::for_seeds([] {
        for (const int length : {1, 7, 16, 100}) {
            for (const bool is_sample : {false, true}) {
                for (const unsigned count :
                     {0U, 6U, 7U, 100U, 256U, 257U, 513U, 600U, 601U, 5000U}) {
                    expect_raised({count, 1000, -5, 0}, length, is_sample);
                    expect_raised({count, 1000, -5, 0.25F}, length, is_sample);
                }
                expect_raised({513, 1, -2, 0}, length, is_sample);
                expect_raised({513, 5, -2, 0}, length, is_sample);
                expect_raised({513, 5, -INFINITY, 1}, length, is_sample);
                expect_raised({513, 1000, -3, INFINITY, 20}, length, is_sample);
                // A threshold that the best do not raise.
                expect_raised({40, 1000, -2, 1e9F}, length, is_sample);
            }
        }
    });
}

TEST(Pack, PutsListsOneAfterAnother) {
    kernels::for_seeds([] {
        const unsigned counts[] = {3, 0, 600, overflowed, 255, 257, 1};
        std::vector<unsigned> starts{5};  // not from the beginning
        std::vector<Slot> slots(7 * capacity);
        for (unsigned q = 0; q < 7; q++) {
            const unsigned count = counts[q] == overflowed ? 0 : counts[q];
            starts.push_back(starts.back() + count);
            for (unsigned i = 0; i < capacity; i++) {
                slots[q * capacity + i] = {0.5F, 10000 * q + i};
            }
        }
        const OnDevice<unsigned> device_starts(starts);
        const OnDevice<Slot> device_slots(slots);
        const OnDevice<Pair> pairs(starts.back() + 1, Pair{77, 77});
        kernels::run(kernel_pack, dim3(7), shortlist_threads,
                     PackArguments{{nullptr, nullptr, device_slots, capacity},
                                   device_starts,
                                   pairs});
        const auto got = pairs.read();
        for (unsigned q = 0; q < 7; q++) {
            std::vector<std::uint32_t> rows;
            for (unsigned i = starts[q]; i < starts[q + 1]; i++) {
                EXPECT_EQ(got[i].query, q);
                rows.push_back(got[i].row);
            }
            std::sort(rows.begin(), rows.end());
            for (unsigned i = 0; i < rows.size(); i++) {
                ASSERT_EQ(rows[i], 10000 * q + i);
            }
        }
        for (const unsigned outside : {0U, 4U, starts.back()}) {
            EXPECT_EQ(got[outside].query, 77U);
        }
    });
}

/// Candidate lists over items 50 .. 249, with holes, items listed twice, ties
/// and zeros of either sign.
struct Lists {
    static constexpr idx_t begin = 50;
    static constexpr idx_t size = 200;
    idx_t lists;
    idx_t candidates;
    std::vector<float> scores;
    std::vector<idx_t> labels;
    std::vector<float> offsets = kernels::lattice(size, 1, 5);
    std::vector<std::uint64_t> activation;

    Lists(idx_t lists, idx_t candidates, std::uint32_t seed)
        : lists(lists),
          candidates(candidates),
          scores(kernels::lattice(lists * candidates, 1, seed)) {
        std::mt19937_64 random(seed);
        for (float& score : scores) {
            if (random() % 5 == 0) score = -0.0F;
            const bool hole = random() % 6 == 0;
            labels.push_back(hole ? -1 : begin + random() % size);
            if (hole) score = NAN;  // not looked at
        }
        for (idx_t i = 0; i < candidates; i++) labels[i] = -1;  // all empty
        for (idx_t i = 0; i < (size + 63) / 64; i++) {
            activation.push_back(random());
        }
    }

    bool good(idx_t place, float sign) const {
        return labels[place] >= begin && labels[place] < begin + size &&
               std::isfinite(scores[place] * sign);
    }
    bool active(idx_t label) const {
        return activation[(label - begin) / 64] >> (label - begin) % 64 & 1;
    }

    struct Item {
        float score;
        idx_t label;
        bool operator==(const Item&) const = default;
    };
    /// A list's good candidates as `method` ranks them.
    std::vector<Item> ranked(idx_t list, Method method, float sign) const {
        std::vector<Item> items;
        for (idx_t i = list * candidates; i < (list + 1) * candidates; i++) {
            if (good(i, sign)) items.push_back({scores[i] * sign, labels[i]});
        }
        const auto sort = [&] {
            std::sort(items.begin(), items.end(),
                      [](const Item& a, const Item& b) {
                          return a.score != b.score ? a.score > b.score
                                                    : a.label < b.label;
                      });
        };
        sort();
        if (items.empty() || method == Method::none) return items;
        if (method == Method::dis && !active(items[0].label)) return items;
        for (Item& item : items) item.score -= offsets[item.label - begin];
        sort();
        return items;
    }
};

template <int Threads, int Items>
void expect_reranked(const Lists& lists, Method method, int k, float sign) {
    SCOPED_TRACE(testing::Message()
                 << "room " << Threads * Items << ", " << lists.candidates
                 << " candidates, method " << static_cast<int>(method) << ", k "
                 << k << ", sign " << sign);
    const OnDevice<float> offsets(lists.offsets);
    const OnDevice<std::uint64_t> activation(lists.activation);
    const OnDevice<float> scores(lists.scores);
    const OnDevice<idx_t> labels(lists.labels);
    const OnDevice<float> best_scores(lists.lists * k, -77);
    const OnDevice<idx_t> best_labels(lists.lists * k, -77);
    const OnDevice<unsigned long long> first_bad(1, ~0ULL);
    RerankArguments a{};
    a.offsets = offsets;
    a.activation = activation;
    a.begin = Lists::begin;
    a.size = Lists::size;
    a.gated = method == Method::dis;
    a.normalised = method != Method::none;
    a.sign = sign;
    a.empty = -1234;
    a.candidates = lists.candidates;
    a.scores = scores;
    a.labels = labels;
    a.k = k;
    a.best_scores = best_scores;
    a.best_labels = best_labels;
    a.first_bad = first_bad;
    kernels::run(kernel_rerank<Threads, Items>,
                 dim3(static_cast<unsigned>(lists.lists)), Threads, a);
    const auto got_scores = best_scores.read();
    const auto got_labels = best_labels.read();
    auto bad = ~0ULL;
    for (idx_t i = lists.lists * lists.candidates - 1; i >= 0; i--) {
        if (lists.labels[i] != -1 && !lists.good(i, sign)) bad = i;
    }
    EXPECT_EQ(first_bad.read()[0], bad);
    for (idx_t list = 0; list < lists.lists; list++) {
        const auto right = lists.ranked(list, method, sign);
        for (int i = 0; i < k; i++) {
            const bool held = i < static_cast<int>(right.size());
            const idx_t place = list * k + i;
            ASSERT_EQ(got_labels[place], held ? right[i].label : -1)
                << "list " << list << ", place " << i;
            ASSERT_EQ(got_scores[place], held ? right[i].score * sign : -1234)
                << "list " << list << ", place " << i;
        }
    }
}

template <int Threads, int Items>
void expect_reranks() {
    constexpr int room = Threads * Items;
    kernels::for_seeds([] {
        const idx_t lengths[] = {0,    1,        room / 2,    room - 1,
                                 room, room + 1, 2 * room + 5};
        for (const idx_t candidates : lengths) {
            const Lists lists(3, candidates, 7);
            const int most = candidates <= room ? room + 9 : room / 2;
            for (const int k : {1, 10, most}) {
                const float sign = k == 10 ? -1 : 1;
                expect_reranked<Threads, Items>(lists, Method::none, k, sign);
                expect_reranked<Threads, Items>(lists, Method::is, k, sign);
                expect_reranked<Threads, Items>(lists, Method::dis, k, sign);
            }
        }
    });
}

TEST(Rerank, OfShortListsRanksAsAFullSort) {
    expect_reranks<32, 4>();
}

TEST(Rerank, OfLongListsRanksAsAFullSort) {
    expect_reranks<128, 8>();
}

TEST(Rerank, OfTheLongestListsRanksAsAFullSort) {
    constexpr int room = 4096;
    for (const idx_t candidates : {room / 2 + 1, room, room + 1}) {
        const Lists lists(2, candidates, 8);
        expect_reranked<256, 16>(lists, Method::dis, 100, 1);
        expect_reranked<256, 16>(lists, Method::is, room / 2, -1);
    }
}

TEST(Rerank, OpensAndShutsGates) {
    const Lists lists(40, 30, 9);
    int open = 0;
    for (idx_t i = 0; i < 40; i++) {
        open +=
            lists.ranked(i, Method::dis, 1) != lists.ranked(i, Method::none, 1);
    }
    EXPECT_GT(open, 5);
    EXPECT_LT(open, 35);
    expect_reranked<32, 4>(lists, Method::dis, 30, 1);
}

TEST(Rerank, NamesTheFirstThatIsBad) {
    kernels::for_seeds([] {
        for (const idx_t candidates : {20, 300}) {  // at once, and in rounds
            Lists lists(5, candidates, 10);
            const idx_t last = 5 * candidates - 1;
            const idx_t wrong[] = {-2, 49, 250, idx_t{1} << 40};
            for (idx_t i = 0; i < 4; i++) {
                lists.labels[last - 7 * i] = wrong[i];
                lists.scores[last - 7 * i] = 0.5F;
                expect_reranked<32, 4>(lists, Method::is, 10, 1);
            }
            for (const float score : {NAN, INFINITY, -INFINITY}) {
                lists.labels[last - 40] = Lists::begin;
                lists.scores[last - 40] = score;
                expect_reranked<32, 4>(lists, Method::dis, 10, 1);
            }
        }
    });
}

}  // namespace
