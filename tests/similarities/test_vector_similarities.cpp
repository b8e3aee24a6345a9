// Oracle: exact_score of core/formula.h, pair by pair: what every engine ranks
// by.

#include <gtest/gtest.h>
#include <omp.h>

#include <limits>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/formula.h"
#include "faiss_qbnorm/similarities/vector_similarities.h"
#include "tests/data.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

constexpr Metric both[] = {Metric::inner_product, Metric::l2};

void expect_exact(Metric metric, const MatrixView& items,
                  const MatrixView& rows, idx_t begin, idx_t end) {
    const MemoryGallery gallery(items);
    const VectorSimilarities similarities(metric, gallery, rows, "querybank");
    EXPECT_EQ(similarities.rows(), rows.rows);
    EXPECT_EQ(similarities.items(), items.rows);
    EXPECT_EQ(similarities.name(), "querybank");
    std::vector<float> out((end - begin) * rows.rows, -1);
    similarities.read(begin, end, out.data());
    idx_t wrong = 0;
    for (idx_t i = 0; i < end - begin; i++) {
        for (idx_t r = 0; r < rows.rows; r++) {
            const float right =
                exact_score(metric, rows.row(r), items.row(begin + i), rows.d);
            wrong += out[i * rows.rows + r] != right;
        }
    }
    EXPECT_EQ(wrong, 0) << rows.rows << " x " << items.rows << ", d " << rows.d;
}

TEST(VectorSimilarities, AreExactScores) {
    struct Shape {
        idx_t rows;
        idx_t items;
        int d;
    };
    for (const auto& [rows, items, d] :
         {Shape{1, 1, 1}, Shape{3, 7, 2}, Shape{1, 300, 9}, Shape{257, 129, 33},
          Shape{600, 400, 64}, Shape{20, 30, 1000}}) {
        const Matrix a = testdata::gaussian(rows, d, 1);
        const Matrix b = testdata::gaussian(items, d, 2);
        for (const Metric metric : both) {
            expect_exact(metric, b.view(), a.view(), 0, items);
            expect_exact(metric, b.view(), a.view(), items / 3, items);
        }
    }
}

// Where products cancel, double sums in two orders differ as float32.
TEST(VectorSimilarities, AreExactWhereTheyCancel) {
    Matrix items = testdata::unit(200, 48, 3);
    Matrix rows = items;
    for (idx_t i = 0; i < rows.rows; i += 2) {
        rows.data[i * rows.d] = std::nextafter(rows.data[i * rows.d], 2.0F);
    }
    for (int t = 0; t < items.d; t += 2) {  // row 0 is orthogonal to item 0
        rows.data[t] = items.data[t + 1];
        rows.data[t + 1] = -items.data[t];
    }
    for (const Metric metric : both) {
        expect_exact(metric, items.view(), rows.view(), 0, items.rows);
    }
    std::fill_n(items.data.begin(), 48 * 20, 0.0F);
    std::fill_n(rows.data.begin(), 48 * 10, 0.0F);
    for (const Metric metric : both) {
        expect_exact(metric, items.view(), rows.view(), 0, items.rows);
    }
}

TEST(VectorSimilarities, DoNotDependOnThreads) {
    const Matrix items = testdata::unit(700, 32, 4);
    const Matrix rows = testdata::unit(500, 32, 5);
    const MemoryGallery gallery(items.view());
    const VectorSimilarities similarities(Metric::l2, gallery, rows.view(),
                                          "queries");
    const int threads = omp_get_max_threads();
    std::vector<float> first(items.rows * rows.rows);
    omp_set_num_threads(1);
    similarities.read(0, items.rows, first.data());
    std::vector<float> second(first.size());
    omp_set_num_threads(3);
    similarities.read(0, items.rows, second.data());
    omp_set_num_threads(threads);
    EXPECT_EQ(first, second);
}

// Shows its rows backwards, two at a time, under labels of their own.
class Scattered : public Gallery {
  public:
    explicit Scattered(const MatrixView& vectors) : vectors_(vectors) {}

    idx_t size() const override { return vectors_.rows; }
    idx_t holes() const override { return holes_; }
    int d() const override { return vectors_.d; }
    std::string name() const override { return "scattered"; }

    void for_each_block(idx_t begin, idx_t end,
                        const BlockVisitor& visit) const override {
        for (idx_t i = end; i > begin; i -= 2) {
            std::vector<float> data;
            std::vector<idx_t> labels;
            for (idx_t label = i - 1; label >= std::max(begin, i - 2);
                 label--) {
                labels.push_back(label);
                data.insert(data.end(), vectors_.row(label),
                            vectors_.row(label) + d());
            }
            visit({{data.data(), static_cast<idx_t>(labels.size()), d()},
                   0,
                   labels.data()});
        }
    }

    idx_t holes_ = 0;

  private:
    MatrixView vectors_;
};

TEST(VectorSimilarities, FollowLabels) {
    const Matrix items = testdata::gaussian(11, 5, 6);
    const Matrix rows = testdata::gaussian(4, 5, 7);
    const Scattered scattered(items.view());
    const MemoryGallery ordered(items.view());
    std::vector<float> of_scattered(4 * 8);
    VectorSimilarities(Metric::inner_product, scattered, rows.view(), "rows")
        .read(2, 10, of_scattered.data());
    std::vector<float> of_ordered(4 * 8);
    VectorSimilarities(Metric::inner_product, ordered, rows.view(), "rows")
        .read(2, 10, of_ordered.data());
    EXPECT_EQ(of_scattered, of_ordered);
}

TEST(VectorSimilarities, SayWhatIsWrong) {
    Matrix items = testdata::gaussian(5, 3, 8);
    Matrix rows = testdata::gaussian(4, 3, 9);
    const MemoryGallery gallery(items.view());
    const auto make = [&](const MatrixView& view) {
        return VectorSimilarities(Metric::inner_product, gallery, view, "bank");
    };
    const MatrixView narrow{rows.data.data(), 6, 2};
    EXPECT_THROW_SAYING(make(narrow), Error,
                        "bank: has dimension 2 but gallery has 3");

    Scattered holed(items.view());
    holed.holes_ = 1;
    EXPECT_THROW_SAYING(
        VectorSimilarities(Metric::l2, holed, rows.view(), "bank"), Error,
        "scattered: 1 labels have no item");

    std::vector<float> out(20);
    items.data[7] = 3e38F;
    rows.data[1] = 3e38F;
    EXPECT_THROW_SAYING(make(rows.view()).read(0, 5, out.data()), Error,
                        "gallery: the scores of row 2 with bank overflow");
    items.data[7] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_THROW_SAYING(make(rows.view()).read(0, 5, out.data()), Error,
                        "gallery: row 2 holds NaN or Inf");
    rows.data[4] = std::numeric_limits<float>::infinity();
    EXPECT_THROW_SAYING(make(rows.view()), Error,
                        "bank: row 1 holds NaN or Inf");
}

}  // namespace
