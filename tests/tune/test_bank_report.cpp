// Oracle: banks whose rows and first items are known by construction.

#include <gtest/gtest.h>

#include <map>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/io/vector_file.h"
#include "faiss_qbnorm/similarities/vector_similarities.h"
#include "faiss_qbnorm/tune/bank_report.h"
#include "faiss_qbnorm/tune/subsample.h"
#include "tests/temporary_folder.h"
#include "tests/tune/reference.h"

namespace {

using namespace faiss_qbnorm;

/// Items are the axes; a bank query is first for the axis it is long in.
struct Axes {
    static constexpr int d = 20;
    Matrix items{std::vector<float>(d * d, 0), d, d};
    Matrix bank{{}, 0, d};

    Axes() {
        for (int i = 0; i < d; i++) items.data[i * d + i] = 1;
    }
    void add(int axis, float length) {
        std::vector<float> row(d, 0);
        row[axis] = length;
        bank.data.insert(bank.data.end(), row.begin(), row.end());
        bank.rows++;
    }
    template <class Work>
    auto with(Work work) const {
        const MemoryGallery gallery(items.view());
        return work(VectorSimilarities(Metric::inner_product, gallery,
                                       bank.view(), "bank"));
    }
    std::vector<idx_t> subsampled(idx_t size) const {
        return with([&](const Similarities& scores) {
            return subsample(bank.view(), scores, size);
        });
    }
};

TEST(BankReport, CountsWhatIsThere) {
    Axes axes;
    for (int i = 0; i < 7; i++) axes.add(4, 1.0F + 0.1F * float(i));
    for (int i = 0; i < 3; i++) axes.add(2, 2);
    axes.add(9, 1);
    axes.add(2, 2);
    const BankReport report = axes.with([&](const Similarities& scores) {
        return report_bank(axes.bank.view(), scores, nullptr);
    });
    EXPECT_EQ(report.rows, 12);
    EXPECT_EQ(report.items, 20);
    EXPECT_EQ(report.duplicates, 3);
    EXPECT_EQ(report.activation, 3);
    ASSERT_EQ(report.most_hit.size(), 3U);
    const idx_t expected[][2] = {{4, 7}, {2, 4}, {9, 1}};
    for (size_t i = 0; i < 3; i++) {
        EXPECT_EQ(report.most_hit[i].label, expected[i][0]);
        EXPECT_EQ(report.most_hit[i].hits, expected[i][1]);
    }
    EXPECT_FALSE(report.choice);
    EXPECT_NE(report.verdict.find("only live queries can tell"),
              std::string::npos);
}

TEST(BankReport, ShowsTenItemsTheFirstOfEqualOnes) {
    Axes axes;
    for (int i = 19; i >= 0; i--) axes.add(i, 1);
    const BankReport report = axes.with([&](const Similarities& scores) {
        return report_bank(axes.bank.view(), scores, nullptr);
    });
    ASSERT_EQ(report.most_hit.size(), 10U);
    for (idx_t i = 0; i < 10; i++) EXPECT_EQ(report.most_hit[i].label, i);
}

// Oracle: the data's README: this bank takes R@1 from 38.8 to 52.9; and noise
// can tell nothing.
TEST(BankReport, SaysWhetherTheBankDoesAnyGood) {
    const auto read = [](const std::string& name) {
        return VectorFile(testdata::real("manpages-de-en-small/" + name), true)
            .read();
    };
    const Matrix items = read("gallery.npy");
    const Matrix live = read("queries.npy");
    const MemoryGallery gallery(items.view());
    const VectorSimilarities queries(Metric::inner_product, gallery,
                                     live.view(), "queries");
    const auto report_of = [&](const Matrix& bank) {
        const VectorSimilarities scores(Metric::inner_product, gallery,
                                        bank.view(), "bank");
        return report_bank(bank.view(), scores, &queries);
    };
    const BankReport good = report_of(read("querybank.npy"));
    ASSERT_TRUE(good.choice);
    EXPECT_NE(good.choice->method, Method::none);
    EXPECT_NE(good.verdict.find("this bank spreads the answers"),
              std::string::npos);
    const BankReport bad = report_of(testdata::gaussian(300, items.d, 5));
    ASSERT_TRUE(bad.choice);
    EXPECT_EQ(bad.choice->method, Method::none);
    EXPECT_NE(bad.verdict.find("does no good"), std::string::npos);
}

TEST(Subsample, KeepsTheSharesOfTheItems) {
    Axes axes;
    std::map<int, int> expected;
    for (int axis = 0; axis < 4; axis++) {
        for (int i = 0; i < 8 << axis; i++) {
            axes.add(axis, 1.0F + 0.01F * float(i));
        }
        expected[axis] = 2 << axis;  // a quarter
    }
    const std::vector<idx_t> rows = axes.subsampled(30);
    ASSERT_EQ(rows.size(), 30U);
    EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));
    EXPECT_EQ(std::adjacent_find(rows.begin(), rows.end()), rows.end());
    std::map<int, int> taken;
    for (const idx_t row : rows) {
        const float* vector = axes.bank.view().row(row);
        taken[static_cast<int>(std::max_element(vector, vector + Axes::d) -
                               vector)]++;
    }
    EXPECT_EQ(taken, expected);
    EXPECT_EQ(axes.subsampled(30), rows);
}

TEST(Subsample, LeavesOutRowsThatRepeat) {
    Axes axes;
    axes.add(3, 1);
    axes.add(5, 1);
    axes.add(3, 1);
    axes.add(5, 2);
    EXPECT_EQ(distinct_rows(axes.bank.view()), (std::vector<idx_t>{0, 1, 3}));
    EXPECT_EQ(axes.subsampled(3), (std::vector<idx_t>{0, 1, 3}));
    EXPECT_THROW_SAYING(axes.subsampled(4), Error,
                        "bank: has 3 distinct rows, of which 4");
    EXPECT_THROW_SAYING(axes.subsampled(0), Error, "of which 0");
}

}  // namespace
