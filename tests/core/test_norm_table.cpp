// Oracle: hand-made tables, and the table of a whole fit (test_fit.cpp holds
// that one to the paper).

#include "faiss_qbnorm/core/norm_table.h"

#include <gtest/gtest.h>

#include <cmath>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/merge.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

// Rows [begin, end) of a gallery of ten, two bank queries, lists of two.
NormTable part(idx_t begin, idx_t end, std::vector<idx_t> labels,
               std::vector<float> scores) {
    NormTable table{4, Metric::inner_product, 10, begin, end, 0, {}};
    table.fingerprint = 100 + begin;
    BankColumn column;
    column.bank_size = 2;
    std::vector<float> offsets;
    for (idx_t i = begin; i < end; i++)
        offsets.push_back(0.5F * static_cast<float>(i));
    column.offsets = std::move(offsets);
    column.lists = {2, std::move(labels), std::move(scores)};
    column.activation = activation_from_lists(column.lists, 1, begin, end);
    table.columns.push_back(std::move(column));
    return table;
}

NormTable first() {
    return part(0, 4, {3, 1, 2, 0}, {.9F, .5F, .8F, .1F});
}
NormTable second() {
    return part(4, 10, {7, 4, 9, 5}, {.7F, .6F, .8F, .3F});
}

TEST(Merge, JoinsOffsetsListsAndActivation) {
    const NormTable a = first();
    const NormTable b = second();
    const NormTable* parts[] = {&b, &a};  // any order
    const NormTable whole = merge(parts);
    EXPECT_TRUE(whole.is_whole());
    EXPECT_EQ(whole.fingerprint, 204U);
    const BankColumn& column = column_of(whole, Bank::querybank);
    for (idx_t i = 0; i < 10; i++) EXPECT_EQ(column.offsets[i], 0.5F * i);
    const std::vector<idx_t> labels{3, 7, 2, 9};  // .8 twice: the lower first
    const std::vector<float> scores{.9F, .7F, .8F, .8F};
    for (size_t i = 0; i < 4; i++) {
        EXPECT_EQ(column.lists.labels[i], labels[i]);
        EXPECT_EQ(column.lists.scores[i], scores[i]);
    }
    // The union of the parts' own sets would hold 7 and 9 too.
    EXPECT_EQ(column.activation.count(), 2);
    EXPECT_TRUE(column.activation.contains(3));
    EXPECT_TRUE(column.activation.contains(2));
}

TEST(Merge, RefusesWhatDoesNotJoin) {
    const NormTable a = first();
    const auto refuse = [&](const NormTable& b, const char* text) {
        const NormTable* parts[] = {&a, &b};
        EXPECT_THROW_SAYING(merge(parts), Error, text);
    };
    refuse(first(), "do not join");
    refuse(part(3, 10, {7, 4, 9, 5}, {.7F, .6F, .8F, .3F}), "do not join");
    refuse(part(5, 10, {7, 6, 9, 5}, {.7F, .6F, .8F, .3F}), "do not join");
    NormTable other = second();
    other.gallery_size = 11;
    refuse(other, "not of one gallery");
    other = second();
    other.metric = Metric::l2;
    refuse(other, "not of one gallery");
    other = second();
    other.columns[0].normalization.beta = 21;
    refuse(other, "same bank, method, beta");
    other = second();
    other.columns[0].bank_fingerprint = 1;
    refuse(other, "same bank, method, beta");
    EXPECT_THROW_SAYING(merge({}), Error, "nothing to merge");

    other = second();
    other.columns[0].offsets = first().columns[0].offsets;
    refuse(other, "arrays are not of its size");

    NormTable bare_a = first();
    NormTable bare_b = second();
    bare_a.columns[0].lists = {};
    bare_b.columns[0].lists = {};
    const NormTable* bare[] = {&bare_a, &bare_b};
    EXPECT_THROW_SAYING(merge(bare), Error, "without bank lists");
    // Alone it needs none.
    const NormTable* alone[] = {&bare_a};
    EXPECT_EQ(merge(alone).columns[0].activation.count(), 2);
}

TEST(ColumnOf, NamesTheMissingBank) {
    EXPECT_THROW_SAYING(column_of(first(), Bank::gallerybank), Error,
                        "gallerybank");
}

TEST(ActivationSet, CrossesWordBoundaries) {
    const std::vector<idx_t> items{0, 63, 64, 129, -1};
    const ActivationSet set(130, items);
    EXPECT_EQ(set.count(), 4);
    for (idx_t i = 0; i < 130; i++) {
        EXPECT_EQ(set.contains(i), i == 0 || i == 63 || i == 64 || i == 129);
    }
    EXPECT_EQ(ActivationSet(0, {}).count(), 0);
}

TEST(Normalization, ChecksItsRanges) {
    check({Method::dis, 1e4F, 1});
    for (const float beta : {0.0F, -1.0F, 10001.0F, NAN, INFINITY}) {
        EXPECT_THROW_SAYING(check({Method::is, beta, 1}), Error, "beta");
    }
    EXPECT_THROW_SAYING(check({Method::is, 20, 0}), Error, "activation_k");
    EXPECT_THROW_SAYING(method_from_name("softmax"), Error,
                        "none, cent, gc, csls");
    EXPECT_THROW_SAYING(metric_from_name("cosine"), Error, "ip, l2");
    EXPECT_EQ(method_from_name("dis"), Method::dis);
    EXPECT_EQ(metric_from_name("l2"), Metric::l2);
}

}  // namespace
