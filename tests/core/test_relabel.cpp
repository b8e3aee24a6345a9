// Oracle: the full ranking of the union by every bank query, kept as a plain
// sorted list; what a merged bank list says must be the head of it.

#include "faiss_qbnorm/core/relabel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <random>
#include <set>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/merge.h"
#include "faiss_qbnorm/core/removal.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;
using Labels = std::vector<idx_t>;

template <class T>
std::vector<T> values_of(const SharedArray<T>& array) {
    return {array.begin(), array.end()};
}

// Every item's score for every bank query: score[row][item]; few values, so
// that there are ties.
using Scores = std::vector<std::vector<float>>;

Scores random_scores(idx_t rows, idx_t items, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_int_distribution<int> values(0, 12);
    Scores scores(rows, std::vector<float>(items));
    for (auto& row : scores) {
        for (float& score : row) score = static_cast<float>(values(random));
    }
    return scores;
}

// By descending score, ties to the lower label; `gone` are left out.
Labels ranking(const std::vector<float>& scores, idx_t begin, idx_t end,
               const std::set<idx_t>& gone) {
    Labels labels;
    for (idx_t i = begin; i < end; i++) {
        if (!gone.contains(i)) labels.push_back(i);
    }
    std::stable_sort(labels.begin(), labels.end(),
                     [&](idx_t a, idx_t b) { return scores[a] > scores[b]; });
    return labels;
}

// As a fit makes rows [begin, end), with lists of `length`.
NormTable part(const Scores& scores, idx_t begin, idx_t end, idx_t length,
               idx_t activation_k) {
    const auto size = static_cast<idx_t>(scores[0].size());
    NormTable table{4, Metric::l2, size, begin, end, 0, {}};
    table.fingerprint = 100 + begin;
    BankColumn column;
    column.normalization = {Method::dis, 20, activation_k};
    column.bank_size = static_cast<idx_t>(scores.size());
    std::vector<float> offsets;
    for (idx_t i = begin; i < end; i++) {
        offsets.push_back(0.25F * static_cast<float>(i));
    }
    column.offsets = offsets;
    TopLists winners(column.bank_size, length);
    for (idx_t row = 0; row < column.bank_size; row++) {
        for (idx_t i = begin; i < end; i++) {
            winners.offer(row, {scores[row][i], i});
        }
    }
    column.lists = to_bank_lists(winners);
    column.activation =
        activation_from_lists(column.lists, activation_k, begin, end);
    table.columns.push_back(column);
    return table;
}

// Rows [begin, end) as they are after a removal that left holes.
NormTable part_without(const Scores& scores, idx_t begin, idx_t end,
                       idx_t length, idx_t activation_k,
                       const std::set<idx_t>& gone) {
    // Lists are the same wherever the part begins: remove() takes whole ones.
    NormTable table = part(scores, begin, end, length, activation_k);
    NormTable whole = moved_to(table, 0);
    Labels removed;
    for (const idx_t label : gone) {
        if (label >= begin && label < end) removed.push_back(label - begin);
    }
    NormTable left = moved_to(
        remove(whole,
               Removal(end - begin, Removal::Rule::leave_holes, removed)),
        begin);
    left.gallery_size = table.gallery_size;
    return left;
}

TEST(Merge, ShortListsNeverClaimAnOrderTheyCannotKnow) {
    constexpr idx_t items = 60;
    constexpr idx_t rows = 25;
    int refused = 0;
    int joined = 0;
    for (unsigned seed = 0; seed < 300; seed++) {
        SCOPED_TRACE(seed);
        const Scores scores = random_scores(rows, items, seed);
        std::mt19937 random(seed);
        const idx_t length = 3 + static_cast<idx_t>(random() % 6);
        const idx_t activation_k = 1 + static_cast<idx_t>(random() % 3);
        const idx_t a = 1 + static_cast<idx_t>(random() % (items - 1));
        const unsigned share = 2 + random() % 8;
        std::set<idx_t> gone;
        for (idx_t i = 0; i < items; i++) {
            if (random() % share == 0) gone.insert(i);
        }
        const NormTable left =
            part_without(scores, 0, a, length, activation_k, gone);
        const NormTable right =
            part_without(scores, a, items, length, activation_k, gone);
        const NormTable* parts[] = {&left, &right};

        // How much can be known: what stands before the first item of which a
        // part cannot say where it comes.
        std::vector<Labels> right_order;
        bool decided = true;
        const auto there = static_cast<idx_t>(items - gone.size());
        for (idx_t row = 0; row < rows; row++) {
            right_order.push_back(ranking(scores[row], 0, items, gone));
            std::set<idx_t> unknown;
            for (const auto& [begin, end] :
                 {std::pair<idx_t, idx_t>{0, a}, {a, items}}) {
                Labels before = ranking(scores[row], begin, end, {});
                const auto cut =
                    std::min(length, static_cast<idx_t>(before.size()));
                unknown.insert(before.begin() + cut, before.end());
            }
            idx_t known = 0;
            for (const idx_t label : right_order[row]) {
                if (unknown.contains(label)) break;
                known++;
            }
            decided = decided && known >= std::min(activation_k, there);
            right_order[row].resize(known);
        }
        NormTable whole;
        try {
            whole = merge(parts);
        } catch (const Error& problem) {
            refused++;
            EXPECT_NE(std::string(problem.what()).find("too many items"),
                      std::string::npos);
            continue;
        }
        joined++;
        // More than can be known is never said.
        EXPECT_TRUE(decided);
        EXPECT_EQ(whole.holes, static_cast<idx_t>(gone.size()));
        EXPECT_EQ(whole.gallery_size, items);
        const BankColumn& column = whole.columns[0];
        std::set<idx_t> active;
        for (idx_t row = 0; row < rows; row++) {
            const idx_t known = column.lists.known(row);
            ASSERT_LE(known, static_cast<idx_t>(right_order[row].size()));
            for (idx_t i = 0; i < known; i++) {
                const idx_t label = column.lists.labels[row * length + i];
                ASSERT_EQ(label, right_order[row][i]);
                ASSERT_EQ(column.lists.scores[row * length + i],
                          scores[row][label]);
            }
            const auto full = ranking(scores[row], 0, items, gone);
            active.insert(full.begin(),
                          full.begin() + std::min(activation_k, there));
        }
        for (idx_t i = 0; i < items; i++) {
            ASSERT_EQ(column.activation.contains(i), active.contains(i));
        }
    }
    // Both happen, or the test shows nothing.
    EXPECT_GT(refused, 30);
    EXPECT_GT(joined, 30);
}

std::optional<NormTable> if_known(const std::function<NormTable()>& join) {
    try {
        return join();
    } catch (const Error& problem) {
        EXPECT_NE(std::string(problem.what()).find("too many items"),
                  std::string::npos);
        return std::nullopt;
    }
}

// Oracle: merge(), held to the scores above, of lists that began as none.
TEST(Append, JoinsListsThatBeganAsTheTables) {
    constexpr idx_t items = 60;
    constexpr idx_t rows = 25;
    int refused = 0;
    int joined = 0;
    for (unsigned seed = 0; seed < 300; seed++) {
        SCOPED_TRACE(seed);
        const Scores scores = random_scores(rows, items, seed);
        std::mt19937 random(seed);
        const idx_t length = 3 + static_cast<idx_t>(random() % 6);
        const idx_t activation_k = 1 + static_cast<idx_t>(random() % 3);
        const idx_t a = static_cast<idx_t>(random() % items);
        const unsigned share = 2 + random() % 8;
        std::set<idx_t> gone;
        for (idx_t i = 0; i < a; i++) {
            if (random() % share == 0) gone.insert(i);
        }
        const NormTable left =
            part_without(scores, 0, a, length, activation_k, gone);
        const NormTable right = part(scores, a, items, length, activation_k);
        NormTable more = right;
        TopLists winners = to_top_lists(left.columns[0].lists, rows);
        for (idx_t row = 0; row < rows; row++) {
            for (idx_t i = a; i < items; i++) {
                winners.offer(row, {scores[row][i], i});
            }
        }
        more.columns[0].lists = to_bank_lists(winners);

        const NormTable* parts[] = {&left, &right};
        const auto expected = if_known([&] { return merge(parts); });
        const auto whole = if_known([&] { return append(left, more); });
        ASSERT_EQ(whole.has_value(), expected.has_value());
        if (!expected) {
            refused++;
            continue;
        }
        joined++;
        EXPECT_EQ(whole->holes, expected->holes);
        EXPECT_EQ(whole->end, expected->end);
        EXPECT_EQ(whole->fingerprint, expected->fingerprint);
        const BankColumn& x = whole->columns[0];
        const BankColumn& y = expected->columns[0];
        EXPECT_EQ(values_of(x.offsets), values_of(y.offsets));
        EXPECT_EQ(values_of(x.lists.labels), values_of(y.lists.labels));
        EXPECT_EQ(values_of(x.lists.scores), values_of(y.lists.scores));
        EXPECT_EQ(values_of(x.activation.words()),
                  values_of(y.activation.words()));
    }
    // Both happen, or the test shows nothing.
    EXPECT_GT(refused, 30);
    EXPECT_GT(joined, 30);
}

TEST(Merge, OfWholeListsIsWhole) {
    const Scores scores = random_scores(9, 40, 3);
    const NormTable a = part(scores, 0, 2, 5, 2);  // lists that are not full
    const NormTable b = part(scores, 2, 33, 5, 2);
    const NormTable c = part(scores, 33, 40, 5, 2);
    const NormTable* parts[] = {&c, &a, &b};
    const NormTable whole = merge(parts);
    const NormTable expected = part(scores, 0, 40, 5, 2);
    EXPECT_EQ(values_of(whole.columns[0].lists.labels),
              values_of(expected.columns[0].lists.labels));
    EXPECT_EQ(values_of(whole.columns[0].activation.words()),
              values_of(expected.columns[0].activation.words()));
    EXPECT_EQ(whole.holes, 0);
}

TEST(Merge, KnowsAFingerprintWhereEveryPartDoes) {
    const Scores scores = random_scores(2, 20, 3);
    NormTable a = part(scores, 0, 10, 5, 1);
    NormTable b = part(scores, 10, 20, 5, 1);
    const NormTable* parts[] = {&a, &b};
    EXPECT_EQ(merge(parts).fingerprint, 210U);
    b.fingerprint = 0;
    EXPECT_EQ(merge(parts).fingerprint, 0U);
    b.fingerprint = 110;
    a.fingerprint = 0;
    EXPECT_EQ(merge(parts).fingerprint, 0U);
    // A part without items has nothing to know.
    a.holes = 10;
    a.columns[0].lists = {5, Labels(10, -1),
                          std::vector<float>(10, Scored{}.score)};
    EXPECT_EQ(merge(parts).fingerprint, 110U);
}

TEST(Relabel, MovesRowsAndLabels) {
    const Scores scores = random_scores(4, 7, 5);
    const NormTable table = part(scores, 0, 7, 9, 2);  // lists end in -1
    const NormTable moved = moved_to(table, 100);
    check(moved);
    EXPECT_EQ(moved.begin, 100);
    EXPECT_EQ(moved.end, 107);
    EXPECT_EQ(moved.gallery_size, 107);
    EXPECT_EQ(moved.fingerprint, 0U);
    for (size_t i = 0; i < 36; i++) {
        const idx_t old = table.columns[0].lists.labels[i];
        EXPECT_EQ(moved.columns[0].lists.labels[i], old < 0 ? -1 : old + 100);
    }
    EXPECT_EQ(values_of(moved.columns[0].offsets),
              values_of(table.columns[0].offsets));
    EXPECT_EQ(values_of(moved.columns[0].activation.words()),
              values_of(table.columns[0].activation.words()));
    const NormTable back = moved_to(moved, 0);
    EXPECT_EQ(values_of(back.columns[0].lists.labels),
              values_of(table.columns[0].lists.labels));
}

TEST(Relabel, GrowsByHoles) {
    for (const idx_t size : {0, 7}) {
        const Scores scores = random_scores(4, size, 5);
        const NormTable table = part(scores, 0, size, 3, 2);
        const NormTable same = grown(table, size, 200);
        EXPECT_EQ(same.holes, 0);
        EXPECT_EQ(same.end, size);
        EXPECT_EQ(same.gallery_size, 200);
        const NormTable larger = grown(table, 130, 200);
        check(larger);
        EXPECT_EQ(larger.end, 130);
        EXPECT_EQ(larger.gallery_size, 200);
        EXPECT_EQ(larger.holes, 130 - size);
        EXPECT_EQ(larger.items(), size);
        EXPECT_EQ(larger.fingerprint, table.fingerprint);
        const BankColumn& column = larger.columns[0];
        float least = 0;
        float most = 0;
        for (idx_t i = 0; i < size; i++) {
            EXPECT_EQ(column.offsets[i], table.columns[0].offsets[i]);
            EXPECT_EQ(column.activation.contains(i),
                      table.columns[0].activation.contains(i));
            least = std::min(least, column.offsets[i]);
            most = std::max(most, column.offsets[i]);
        }
        // Bounds over all offsets must hold for the items alone.
        for (idx_t i = size; i < 130; i++) {
            EXPECT_FALSE(column.activation.contains(i));
            EXPECT_GE(column.offsets[i], least);
            EXPECT_LE(column.offsets[i], most);
        }
    }
}

TEST(Relabel, LongerListsClaimNoMore) {
    const Scores scores = random_scores(3, 30, 5);
    const NormTable table = part(scores, 0, 30, 4, 2);
    const NormTable longer = with_longer_lists(table, 6);
    check(longer);
    const BankLists& lists = longer.columns[0].lists;
    EXPECT_EQ(lists.length, 6);
    for (idx_t row = 0; row < 3; row++) {
        EXPECT_EQ(lists.known(row), 4);
        for (idx_t i = 0; i < 4; i++) {
            const idx_t old = row * 4 + i;
            EXPECT_EQ(lists.labels[row * 6 + i],
                      table.columns[0].lists.labels[old]);
            EXPECT_EQ(lists.scores[row * 6 + i],
                      table.columns[0].lists.scores[old]);
        }
    }
    EXPECT_EQ(with_longer_lists(table, 3).columns[0].lists.length, 4);
    NormTable bare = table;
    bare.columns[0].lists = {};
    EXPECT_EQ(with_longer_lists(bare, 6).columns[0].lists.length, 0);
}

}  // namespace
