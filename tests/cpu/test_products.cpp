// Oracle: products summed in double; score_error bounds the difference.

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "faiss_qbnorm/cpu/product.h"
#include "faiss_qbnorm/cpu/score_error.h"
#include "tests/cpu/guarded.h"
#include "tests/cpu/hard_rows.h"

namespace {

using namespace faiss_qbnorm;
using Floats = guarded::Array<float>;

enum class By { blas, onednn };

struct Kind {
    const char* name;
    By by;
    ProductType type;
};

void PrintTo(const Kind& kind, std::ostream* out) {
    *out << kind.name;
}

/// Rows, their bounds, and the factors that a product takes.
struct Side {
    Floats fp32;
    guarded::Array<std::uint16_t> bf16;
    std::vector<RowBound> bounds;
    int d;

    Side(const Matrix& rows, ProductType type)
        : fp32(rows.data),
          bf16(type == ProductType::bf16 ? rows.data.size() : 0),
          d(rows.d) {
        for (idx_t i = 0; i < rows.rows; i++) {
            const simd::RowSize size =
                simd::load_row(row(i), nullptr, d, nullptr,
                               bf16.size() > 0 ? bf16.data() + i * d : nullptr);
            bounds.push_back(bound_of({row(i), 1, d}, nullptr, &size.squares,
                                      &size.lost_squares));
        }
    }

    const float* row(idx_t i) const { return fp32.data() + i * d; }
    Factors factors() const {
        return {fp32.data(), bf16.size() > 0 ? bf16.data() : nullptr};
    }
};

struct Scene {
    ProductShape shape;
    Side left;
    Side right;

    Scene(const Kind& kind, const ProductShape& shape)
        : shape(shape),
          left(hard::rows(shape.left_rows, shape.d, 1), kind.type),
          right(hard::rows(shape.right_rows, shape.d, 2), kind.type) {}

    std::unique_ptr<PackedRows> pack(const Kind& kind) const {
        return kind.by == By::blas ? pack_for_blas(shape, right.fp32.data())
                                   : pack_for_onednn(shape, right.factors());
    }

    idx_t tile_size(idx_t panel) const {
        return shape.left_rows * shape.width(panel);
    }
};

class Products : public testing::TestWithParam<Kind> {
  protected:
    void SetUp() override {
        const Kind& kind = GetParam();
        if (kind.by == By::onednn && !has_onednn()) {
            GTEST_SKIP() << "this build has no oneDNN";
        }
        if (kind.type == ProductType::bf16 && !has_fast_bf16()) {
            GTEST_SKIP() << "this processor has no instructions for bf16";
        }
        threads_ = omp_get_max_threads();
    }
    void TearDown() override {
        if (threads_ > 0) omp_set_num_threads(threads_);
    }

  private:
    int threads_ = 0;
};

INSTANTIATE_TEST_SUITE_P(
    Cpu, Products,
    testing::Values(Kind{"blas", By::blas, ProductType::fp32},
                    Kind{"onednn", By::onednn, ProductType::fp32},
                    Kind{"onednn_bf16", By::onednn, ProductType::bf16}),
    [](const testing::TestParamInfo<Kind>& info) { return info.param.name; });

double product_of(const float* a, const float* b, int d) {
    double sum = 0;
    for (int i = 0; i < d; i++) sum += double{a[i]} * b[i];
    return sum;
}

void expect_tile(const Kind& kind, const Scene& scene, idx_t panel,
                 const Floats& tile) {
    const idx_t width = scene.shape.width(panel);
    for (idx_t i = 0; i < scene.shape.left_rows; i++) {
        for (idx_t j = 0; j < width; j++) {
            const idx_t right = panel * scene.shape.panel_rows + j;
            const float error =
                score_error(Metric::inner_product, kind.type, scene.shape.d,
                            scene.left.bounds[i], scene.right.bounds[right]);
            ASSERT_TRUE(std::isfinite(error));
            ASSERT_NEAR(tile[i * width + j],
                        product_of(scene.left.row(i), scene.right.row(right),
                                   scene.shape.d),
                        error)
                << "left " << i << ", right " << right;
        }
    }
}

/// All panels by a Multiplier of this thread.
void expect_products(const Kind& kind, const ProductShape& shape) {
    SCOPED_TRACE(testing::Message()
                 << shape.left_rows << " x " << shape.right_rows
                 << " in panels of " << shape.panel_rows << ", d " << shape.d);
    const Scene scene(kind, shape);
    const auto packed = scene.pack(kind);
    const auto multiplier = packed->multiplier();
    for (idx_t panel = 0; panel < shape.panels(); panel++) {
        Floats tile(scene.tile_size(panel), NAN);
        multiplier->multiply(scene.left.factors(), 0, shape.left_rows, panel,
                             tile.data());
        expect_tile(kind, scene, panel, tile);
        if (testing::Test::HasFatalFailure()) return;
    }
}

TEST_P(Products, AreWithinTheErrorForAnyDimension) {
    for (const int d : {1, 2, 3, 31, 64, 129, 1000}) {
        expect_products(GetParam(), {32, 50, 48, d});
        if (HasFatalFailure()) return;
    }
}

TEST_P(Products, AreWithinTheErrorForAnyRows) {
    for (idx_t right = 1; right <= 600; right += right < 20 ? 3 : 29) {
        for (const idx_t panel : {16, 256}) {
            expect_products(GetParam(), {20, right, panel, 33});
            if (HasFatalFailure()) return;
        }
    }
    for (const idx_t left : {1, 2, 15, 16, 17, 100, 256}) {
        expect_products(GetParam(), {left, 30, 16, 33});
        if (HasFatalFailure()) return;
    }
}

TEST_P(Products, OfPanelsOfOddWidth) {
    for (const idx_t panel : {1, 7, 33, 111}) {
        expect_products(GetParam(), {23, 113, panel, 19});
        if (HasFatalFailure()) return;
    }
}

/// All tiles one after another, of `threads` threads with a Multiplier each.
std::vector<float> all_tiles(const Scene& scene, const PackedRows& packed,
                             int threads) {
    const idx_t panels = scene.shape.panels();
    std::vector<float> all(scene.shape.left_rows * scene.shape.right_rows, NAN);
    omp_set_num_threads(threads);
#pragma omp parallel
    {
        const auto multiplier = packed.multiplier();
#pragma omp for schedule(dynamic)
        for (idx_t panel = 0; panel < panels; panel++) {
            float* tile = all.data() + panel * scene.tile_size(0);
            multiplier->multiply(scene.left.factors(), 0, scene.shape.left_rows,
                                 panel, tile);
        }
    }
    return all;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() &&
           std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Oracle: the whole tile, which is held to its error above.
TEST_P(Products, OfSomeRowsAreThoseOfTheTile) {
    for (const idx_t left : {20, 64, 192, 256}) {
        const Scene scene(GetParam(), {left, 40, 16, 33});
        const auto packed = scene.pack(GetParam());
        const auto multiplier = packed->multiplier();
        const std::vector<float> whole = all_tiles(scene, *packed, 1);
        for (const auto& [first, last] : {std::pair<idx_t, idx_t>{0, 1},
                                          {3, 17},
                                          {left / 2 - 1, left / 2 + 1},
                                          {left - 1, left},
                                          {0, left},
                                          {5, 5}}) {
            for (idx_t panel = 0; panel < scene.shape.panels(); panel++) {
                const idx_t width = scene.shape.width(panel);
                Floats tile(scene.tile_size(panel), NAN);
                multiplier->multiply(scene.left.factors(), first, last, panel,
                                     tile.data());
                EXPECT_EQ(
                    std::memcmp(tile.data() + first * width,
                                whole.data() + panel * scene.tile_size(0) +
                                    first * width,
                                (last - first) * width * sizeof(float)),
                    0)
                    << "rows " << first << " to " << last << " of " << left;
            }
        }
    }
}

TEST_P(Products, DoNotDependOnTheNumberOfThreads) {
    for (const int d : {31, 1000}) {
        const Scene scene(GetParam(), {64, 200, 16, d});
        omp_set_num_threads(1);
        const auto packed = scene.pack(GetParam());
        const std::vector<float> expected = all_tiles(scene, *packed, 1);
        for (const int threads : {2, 3, 8}) {
            for (int again = 0; again < 5; again++) {
                EXPECT_TRUE(
                    same_bits(all_tiles(scene, *packed, threads), expected))
                    << threads << " threads, d " << d;
            }
        }
    }
}

TEST_P(Products, DoNotDependOnWhoPacked) {
    const Scene scene(GetParam(), {64, 200, 48, 129});
    omp_set_num_threads(1);
    const std::vector<float> expected =
        all_tiles(scene, *scene.pack(GetParam()), 1);
    omp_set_num_threads(4);
    const auto by_many = scene.pack(GetParam());
    EXPECT_EQ(omp_get_max_threads(), 4);  // packing leaves the caller's number
    EXPECT_TRUE(same_bits(all_tiles(scene, *by_many, 4), expected));
    std::vector<std::unique_ptr<PackedRows>> by_each(4);
#pragma omp parallel num_threads(4)
    by_each[omp_get_thread_num()] = scene.pack(GetParam());
    for (const auto& packed : by_each) {
        if (!packed) continue;  // there were fewer threads
        EXPECT_TRUE(same_bits(all_tiles(scene, *packed, 2), expected));
    }
}

TEST_P(Products, ReferToOrCopyTheRight) {
    const Kind& kind = GetParam();
    Scene scene(kind, {16, 40, 16, 33});
    const auto packed = scene.pack(kind);
    const std::vector<float> expected = all_tiles(scene, *packed, 1);
    if (kind.by == By::blas) return;  // refers: nothing to hold it to
    for (float& x : scene.right.fp32) x = NAN;
    for (std::uint16_t& x : scene.right.bf16) x = 0x7fff;
    EXPECT_TRUE(same_bits(all_tiles(scene, *packed, 1), expected));
}

TEST(Product, OnednnIsThereOrNot) {
    EXPECT_EQ(has_onednn(), !onednn_instruction_set().empty());
    if (has_onednn()) return;
    EXPECT_EQ(pack_for_onednn({1, 1, 1, 1}, {}), nullptr);
    EXPECT_FALSE(has_fast_bf16());
}

}  // namespace
