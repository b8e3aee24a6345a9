// Oracle: core/formula.h's exact_score.

#include "faiss_qbnorm/cpu/score_error.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "faiss_qbnorm/core/formula.h"
#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/cpu/tile_scorer.h"
#include "tests/cpu/hard_rows.h"
#include "tests/data.h"

namespace {

using namespace faiss_qbnorm;

struct Kind {
    const char* name;
    Metric metric;
    ProductType type;
    bool blas;

    Scoring scoring(const CpuTiles& tiles) const { return {tiles, type, blas}; }
};

void PrintTo(const Kind& kind, std::ostream* out) {
    *out << kind.name;
}

class ScoreError : public testing::TestWithParam<Kind> {
  protected:
    void SetUp() override {
        if (GetParam().type == ProductType::bf16 && !has_fast_bf16()) {
            GTEST_SKIP() << "no instructions for bf16 here";
        }
        if (!GetParam().blas && !has_onednn()) {
            GTEST_SKIP() << "this build has no oneDNN";
        }
    }
};

constexpr Metric ip = Metric::inner_product;
constexpr Metric l2 = Metric::l2;
INSTANTIATE_TEST_SUITE_P(
    Cpu, ScoreError,
    testing::Values(Kind{"ip_blas", ip, ProductType::fp32, true},
                    Kind{"ip_onednn", ip, ProductType::fp32, false},
                    Kind{"ip_bf16", ip, ProductType::bf16, false},
                    Kind{"l2_blas", l2, ProductType::fp32, true},
                    Kind{"l2_onednn", l2, ProductType::fp32, false},
                    Kind{"l2_bf16", l2, ProductType::bf16, false}),
    [](const testing::TestParamInfo<Kind>& info) { return info.param.name; });

/// Rows for both sides, and what is taken from both for L2.
struct Data {
    Matrix gallery;
    Matrix queries;
    std::vector<float> center;

    const float* center_of(Metric metric) const {
        return metric == Metric::l2 && !center.empty() ? center.data()
                                                       : nullptr;
    }
};

void move(Matrix& rows, float by) {
    for (float& x : rows.data) x += by;
}

/// Hard rows about the origin, and about a point of which the center is near.
std::vector<Data> hard_data(int d) {
    std::vector<Data> all(3);
    for (Data& data : all) {
        data = {hard::rows(53, d, 1), hard::rows(37, d, 2), {}};
    }
    all[1].center = testdata::gaussian(1, d, 3).data;
    move(all[2].gallery, 1000);
    move(all[2].queries, 1000);
    all[2].center = mean_row(all[2].gallery.view());
    return all;
}

constexpr int dimensions[] = {1, 3, 31, 129, 1000};

float exact(Metric metric, const Data& data, idx_t query, idx_t row) {
    return exact_score(metric, data.queries.view().row(query),
                       data.gallery.view().row(row), data.gallery.d);
}

/// Loads rows [begin, end) at `place` and holds all their scores to the error.
void expect_scores(TileScorer& scorer, const Queries& queries, const Data& data,
                   idx_t begin, idx_t end, idx_t place) {
    SCOPED_TRACE(testing::Message()
                 << "rows " << begin << " to " << end << " at " << place
                 << ", d " << queries.shape.d);
    scorer.load(data.gallery.view(), begin, end, place);
    ASSERT_TRUE(std::isfinite(scorer.error()));
    for (idx_t panel = 0; panel < queries.shape.panels(); panel++) {
        const float* scores = scorer.score(panel);
        const idx_t width = queries.shape.width(panel);
        for (idx_t i = 0; i < (end - begin) * width; i++) {
            const idx_t query = panel * queries.shape.panel_rows + i % width;
            const idx_t row = i / width;
            const double right =
                exact(queries.metric, data, query, begin + row);
            ASSERT_NEAR(scores[i], right, scorer.error(query))
                << "query " << query << ", row " << row;
            ASSERT_LE(std::fabs(right), scorer.reach(row) * 1.001F + 1e-30F)
                << "query " << query << ", row " << row;
        }
    }
}

double length(const std::vector<double>& row) {
    double squares = 0;
    for (const double x : row) squares += x * x;
    return std::sqrt(squares);
}

/// What load_row says of rows - center, and the longest in double.
struct Measured {
    std::vector<float> squares;
    std::vector<float> lost_squares;
    double norm = 0;
    double lost = 0;

    Measured(const MatrixView& rows, const float* center) {
        std::vector<float> fp32(rows.d);
        std::vector<std::uint16_t> bf16(rows.d);
        std::vector<double> exact(rows.d);
        std::vector<double> less(rows.d);
        for (idx_t i = 0; i < rows.rows; i++) {
            const simd::RowSize size = simd::load_row(
                rows.row(i), center, rows.d, fp32.data(), bf16.data());
            squares.push_back(size.squares);
            lost_squares.push_back(size.lost_squares);
            for (int j = 0; j < rows.d; j++) {
                exact[j] = double{rows.row(i)[j]} - (center ? center[j] : 0);
                less[j] = double{fp32[j]} -
                          std::bit_cast<float>(std::uint32_t{bf16[j]} << 16);
            }
            norm = std::max(norm, length(exact));
            lost = std::max(lost, length(less));
        }
    }
};

/// Expects a bound of rows - center that covers them, and not much more.
void expect_bound(const MatrixView& rows, const float* center) {
    const Measured measured(rows, center);
    const RowBound bound = bound_of(rows, center, measured.squares.data(),
                                    measured.lost_squares.data());
    constexpr double unseen = 1e-17;  // squares that underflowed
    ASSERT_GE(bound.norm, measured.norm);
    ASSERT_LE(bound.norm, measured.norm * 1.01 + unseen);
    ASSERT_GE(bound.lost, measured.lost);
    for (const float squares : measured.lost_squares) {
        if (std::isinf(squares)) return;
    }
    ASSERT_LE(bound.lost, measured.lost * 1.01 + unseen);
}

TEST(RowBounds, CoverRowsOfAnySizeClosely) {
    for (const int d : dimensions) {
        const Matrix rows = hard::rows(hard::kinds, d, 1);
        const Matrix center = testdata::gaussian(1, d, 3);
        for (const float size : {1.0F, 1e-30F, 1e-20F, 1e20F, 1e28F}) {
            Matrix scaled = rows;
            for (float& x : scaled.data) x *= size;
            for (idx_t i = 0; i < rows.rows; i++) {
                SCOPED_TRACE(testing::Message()
                             << "d " << d << ", rows " << i << " x " << size);
                for (const idx_t end : {i + 1, rows.rows}) {
                    const MatrixView some = scaled.view().slice(i, end);
                    expect_bound(some, nullptr);
                    expect_bound(some, center.data.data());
                }
                if (testing::Test::HasFatalFailure()) return;
            }
        }
    }
}

TEST_P(ScoreError, BoundsWhatTilesAreOff) {
    for (const int d : dimensions) {
        for (const Data& data : hard_data(d)) {
            const Queries queries(GetParam().scoring({20, 16}),
                                  GetParam().metric, data.queries.view(),
                                  data.center_of(GetParam().metric));
            TileScorer scorer(queries);
            expect_scores(scorer, queries, data, 0, 20, 0);
            expect_scores(scorer, queries, data, 20, 33, 7);  // a part
            expect_scores(scorer, queries, data, 33, 53, 0);
            for (idx_t row = 0; row < hard::kinds; row++) {  // a bound each
                expect_scores(scorer, queries, data, row, row + 1, row);
            }
            if (HasFatalFailure()) return;
        }
    }
}

/// Holds scores of gallery rows [begin, end) with some queries to the error.
void expect_few(const Queries& queries, const Data& data, idx_t begin,
                idx_t end) {
    TileScorer scorer(queries);
    const float* scores = scorer.score_few(data.gallery.view(), begin, end);
    const idx_t rows = end - begin;
    for (idx_t i = 0; i < queries.shape.right_rows * rows; i++) {
        const float error = scorer.error(i / rows);
        ASSERT_TRUE(std::isfinite(error));
        ASSERT_NEAR(scores[i],
                    exact_score(queries.metric, queries.rows.row(i / rows),
                                data.gallery.view().row(begin + i % rows),
                                queries.shape.d),
                    error)
            << "query " << i / rows << ", row " << begin + i % rows << ", d "
            << queries.shape.d;
    }
}

TEST_P(ScoreError, BoundsWhatScoresOfFewQueriesAreOff) {
    const Metric metric = GetParam().metric;
    for (const int d : dimensions) {
        for (const Data& data : hard_data(d)) {
            for (const idx_t count : {1, 3, 4, 8}) {
                const Queries queries(GetParam().scoring({20, 16}).of_few(),
                                      metric,
                                      data.queries.view().slice(2, 2 + count),
                                      data.center_of(metric));
                expect_few(queries, data, 20, 33);
                for (idx_t row = 0; row < hard::kinds; row++) {
                    expect_few(queries, data, row, row + 1);
                }
                if (HasFatalFailure()) return;
            }
        }
    }
}

TEST_P(ScoreError, IsSmallForUnitVectors) {
    const Data data{testdata::unit(64, 256, 1), testdata::unit(8, 256, 2), {}};
    const Queries queries(GetParam().scoring({64, 16}), GetParam().metric,
                          data.queries.view(), nullptr);
    TileScorer scorer(queries);
    scorer.load(data.gallery.view(), 0, 64, 0);
    const float most = GetParam().type == ProductType::bf16 ? 0.02F : 1e-4F;
    for (idx_t query = 0; query < 8; query++) {
        EXPECT_LT(scorer.error(query), most);
    }
}

TEST_P(ScoreError, IsInfiniteWhereProductsOverflow) {
    for (const float size : {1e19F, 1e25F, 3e38F}) {
        Data data{
            testdata::gaussian(8, 33, 1), testdata::gaussian(8, 33, 2), {}};
        data.gallery.data[3 * 33 + 7] = size;
        data.queries.data[5 * 33 + 7] = -size;
        const Queries queries(GetParam().scoring({8, 16}), GetParam().metric,
                              data.queries.view(), nullptr);
        TileScorer scorer(queries);
        scorer.load(data.gallery.view(), 0, 8, 0);
        EXPECT_FALSE(std::isfinite(scorer.error())) << size;
        EXPECT_EQ(scorer.error(5), std::numeric_limits<float>::infinity());
    }
}

TEST_P(ScoreError, KeepsTheBitsOfAnItemThatKeepsItsPlace) {
    const Data data{testdata::gaussian(32, 100, 1),
                    testdata::gaussian(40, 100, 2),
                    testdata::gaussian(1, 100, 3).data};
    const Queries queries(GetParam().scoring({32, 16}), GetParam().metric,
                          data.queries.view(),
                          data.center_of(GetParam().metric));
    TileScorer whole(queries);
    TileScorer part(queries);
    whole.load(data.gallery.view(), 0, 32, 0);
    part.load(data.gallery.view(), 0, 32, 0);  // what is left must not matter
    for (const auto& [begin, end] :
         {std::pair{0, 1}, {31, 32}, {3, 20}, {0, 31}}) {
        part.load(data.gallery.view(), begin, end, begin);
        for (idx_t panel = 0; panel < queries.shape.panels(); panel++) {
            const idx_t width = queries.shape.width(panel);
            const float* expected = whole.score(panel) + begin * width;
            const float* scores = part.score(panel);
            for (idx_t i = 0; i < (end - begin) * width; i++) {
                ASSERT_EQ(scores[i], expected[i]) << begin << ", " << i;
            }
        }
    }
}

}  // namespace
