// Oracle: std::set and std::vector: what is left is listed item by item, and a
// label is its item's place in that list.

#include "faiss_qbnorm/core/removal.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <set>

#include "faiss_qbnorm/core/error.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;
using Rule = Removal::Rule;
using Labels = std::vector<idx_t>;

constexpr float infinity = std::numeric_limits<float>::infinity();

template <class T>
std::vector<T> values_of(const SharedArray<T>& array) {
    return {array.begin(), array.end()};
}

Labels chosen(idx_t size, double share, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> coin;
    Labels labels;
    for (idx_t i = 0; i < size; i++) {
        if (coin(random) < share) labels.push_back(i);
    }
    return labels;
}

// `size` items, three bank queries, lists of `length`: row 0 knows the first
// items, row 1 the last ones, row 2 one item.
NormTable make_table(idx_t size, idx_t length) {
    NormTable table{4, Metric::inner_product, size, 0, size, 77, {}};
    BankColumn column;
    column.normalization = {Method::dis, 20, 2};
    column.bank_size = 3;
    std::vector<float> offsets(size);
    std::iota(offsets.begin(), offsets.end(), 0.5F);
    column.offsets = offsets;
    Labels labels;
    std::vector<float> scores;
    for (idx_t row = 0; row < 3; row++) {
        const idx_t listed = std::min(row == 2 ? 1 : length, size);
        for (idx_t i = 0; i < length; i++) {
            const bool there = i < listed;
            labels.push_back(!there ? -1 : row == 1 ? size - 1 - i : i);
            scores.push_back(there ? -static_cast<float>(i) : -infinity);
        }
    }
    column.lists = {length, labels, scores};
    column.activation = activation_from_lists(column.lists, 2, 0, size);
    table.columns.push_back(column);
    return table;
}

TEST(Removal, TellsTheLabelsAfterwards) {
    for (const idx_t size : {0, 1, 63, 64, 65, 127, 128, 129, 300}) {
        for (const double share : {0.0, 0.02, 0.5, 0.98, 1.0}) {
            SCOPED_TRACE(testing::Message() << size << " items " << share);
            const Labels removed = chosen(size, share, 5);
            const std::set<idx_t> gone(removed.begin(), removed.end());
            const Removal close(size, Rule::close_up, removed);
            const Removal holes(size, Rule::leave_holes, removed);
            const auto count = static_cast<idx_t>(gone.size());
            EXPECT_EQ(close.count(), count);
            EXPECT_EQ(holes.count(), count);
            EXPECT_EQ(close.new_size(), size - count);
            EXPECT_EQ(holes.new_size(), size);
            idx_t place = 0;
            for (idx_t label = 0; label < size; label++) {
                ASSERT_EQ(close.contains(label), gone.contains(label));
                ASSERT_EQ(holes.contains(label), gone.contains(label));
                if (gone.contains(label)) continue;
                ASSERT_EQ(close.new_label(label), place++);
                ASSERT_EQ(holes.new_label(label), label);
            }
        }
    }
}

TEST(Remove, DropsItemsFromOffsetsAndLists) {
    for (const Rule rule : {Rule::close_up, Rule::leave_holes}) {
        for (const idx_t size : {1, 64, 65, 130}) {
            for (const double share : {0.0, 0.3, 1.0}) {
                const NormTable table = make_table(size, 6);
                const Labels removed = chosen(size, share, 9);
                const std::set<idx_t> gone(removed.begin(), removed.end());
                Labels stay;
                for (idx_t i = 0; i < size; i++) {
                    if (!gone.contains(i)) stay.push_back(i);
                }
                const bool close = rule == Rule::close_up;
                const auto count = static_cast<idx_t>(gone.size());
                const NormTable left =
                    remove(table, Removal(size, rule, removed));
                EXPECT_EQ(left.gallery_size, close ? size - count : size);
                EXPECT_EQ(left.begin, 0);
                EXPECT_EQ(left.end, left.gallery_size);
                EXPECT_EQ(left.holes, close ? 0 : count);
                EXPECT_EQ(left.items(), size - count);
                EXPECT_EQ(left.fingerprint, 0U);
                const BankColumn& column = left.columns[0];
                ASSERT_EQ(static_cast<idx_t>(column.offsets.size()),
                          left.size());
                const auto new_label = [&](idx_t old) {
                    const auto at =
                        std::lower_bound(stay.begin(), stay.end(), old);
                    return close ? at - stay.begin() : old;
                };
                for (const idx_t old : stay) {
                    EXPECT_EQ(column.offsets[new_label(old)],
                              static_cast<float>(old) + 0.5F);
                }
                const BankLists& before = table.columns[0].lists;
                for (idx_t row = 0; row < 3; row++) {
                    Labels labels;
                    std::vector<float> scores;
                    for (idx_t i = row * 6; i < row * 6 + 6; i++) {
                        const idx_t old = before.labels[i];
                        if (old < 0 || gone.contains(old)) continue;
                        labels.push_back(new_label(old));
                        scores.push_back(before.scores[i]);
                    }
                    EXPECT_EQ(column.lists.known(row),
                              static_cast<idx_t>(labels.size()));
                    labels.resize(6, -1);
                    scores.resize(6, -infinity);
                    for (idx_t i = 0; i < 6; i++) {
                        EXPECT_EQ(column.lists.labels[row * 6 + i], labels[i]);
                        EXPECT_EQ(column.lists.scores[row * 6 + i], scores[i]);
                    }
                }
            }
        }
    }
}

TEST(Remove, AddsUpHoles) {
    const NormTable table = make_table(10, 6);
    const Labels first{2, 3};
    const Labels second{9};
    const NormTable once = remove(table, Removal(10, Rule::leave_holes, first));
    const NormTable twice =
        remove(once, Removal(10, Rule::leave_holes, second));
    EXPECT_EQ(twice.holes, 3);
    EXPECT_EQ(twice.items(), 7);
    EXPECT_EQ(twice.gallery_size, 10);
    EXPECT_TRUE(twice.is_whole());
    check(twice);
}

TEST(Remove, NeedsBankLists) {
    NormTable table = make_table(10, 6);
    table.columns[0].lists = {};
    EXPECT_THROW_SAYING(remove(table, Removal(10, Rule::close_up, {})), Error,
                        "without bank lists");
}

TEST(RowsToSearch, AreThoseThatNoLongerDecide) {
    NormTable table = make_table(10, 3);  // row 2 knows one item of two needed
    EXPECT_EQ(rows_to_search(table, table.columns[0]), (Labels{2}));
    table.columns[0].normalization.activation_k = 1;
    EXPECT_TRUE(rows_to_search(table, table.columns[0]).empty());
    // Row 0 keeps one item of 0, 1, 2; row 1 (9, 8, 7) two; row 2 (0) none.
    const Labels removed{0, 1, 9};
    NormTable left = remove(table, Removal(10, Rule::leave_holes, removed));
    EXPECT_EQ(rows_to_search(left, left.columns[0]), (Labels{2}));
    left.columns[0].normalization.activation_k = 2;
    EXPECT_EQ(rows_to_search(left, left.columns[0]), (Labels{0, 2}));
    left.columns[0].normalization.activation_k = 3;
    EXPECT_EQ(rows_to_search(left, left.columns[0]), (Labels{0, 1, 2}));
    // Where few items are left, what is known of them decides.
    left.holes = 9;
    EXPECT_EQ(rows_to_search(left, left.columns[0]), (Labels{2}));
    left.holes = 10;
    EXPECT_TRUE(rows_to_search(left, left.columns[0]).empty());
}

TEST(DecideActivation, TakesTheFirstOfEveryList) {
    NormTable table = make_table(10, 3);
    EXPECT_THROW_SAYING(decide_activation(table), Error,
                        "too many items were removed");
    const BankLists found{3, Labels{5, 6, 7}, std::vector<float>{9, 8, 7}};
    const Labels rows{2};
    replace_rows(table.columns[0].lists, rows, found);
    decide_activation(table);
    const ActivationSet& set = table.columns[0].activation;
    for (idx_t i = 0; i < 10; i++) {
        const bool listed = i < 2 || i > 7 || i == 5 || i == 6;
        EXPECT_EQ(set.contains(i), listed) << i;
    }
    EXPECT_EQ(set.count(), 6);
}

TEST(ReplaceRows, LeavesTheOthers) {
    BankLists lists{2, Labels{0, 1, 2, 3, 4, 5},
                    std::vector<float>{.0F, .1F, .2F, .3F, .4F, .5F}};
    const Labels rows{2, 0};
    replace_rows(lists, rows,
                 {2, Labels{10, 11, 12, -1},
                  std::vector<float>{1.0F, 1.1F, 1.2F, -infinity}});
    EXPECT_EQ(lists.length, 2);
    EXPECT_EQ(values_of(lists.labels), (Labels{12, -1, 2, 3, 10, 11}));
    EXPECT_EQ(values_of(lists.scores),
              (std::vector<float>{1.2F, -infinity, .2F, .3F, 1.0F, 1.1F}));
    replace_rows(lists, {}, {2, {}, {}});
    EXPECT_EQ(lists.known(0), 1);
    EXPECT_EQ(lists.known(1), 2);
}

}  // namespace
