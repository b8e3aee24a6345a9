// Oracle: oracle.h. Exponents are held below overflow by lengths (shifts are
// raised where these allow more), but rounded scores may be above them.

#include <gtest/gtest.h>

#include <cmath>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/cpu/engine_cpu.h"
#include "faiss_qbnorm/cpu/score_error.h"
#include "tests/data.h"
#include "tests/oracle.h"

namespace {

using namespace faiss_qbnorm;

constexpr int d = 128;
constexpr idx_t bank_rows = 512;  // two panels

struct Data {
    Matrix gallery;
    Matrix bank;
};

Matrix zeros(idx_t rows) {
    return {std::vector<float>(rows * d), rows, d};
}

RowBound longest(const Matrix& rows, const float* center, ProductType type) {
    RowBound bound;
    std::vector<std::uint16_t> bf16(d);
    for (idx_t i = 0; i < rows.rows; i++) {
        const float* row = rows.view().row(i);
        const simd::RowSize size =
            simd::load_row(row, center, d, nullptr,
                           type == ProductType::bf16 ? bf16.data() : nullptr);
        bound.cover(
            bound_of({row, 1, d}, center, &size.squares, &size.lost_squares));
    }
    return bound;
}

/// What offsets may be off: their scores' error, and a float sum's.
double tolerance_of(const Data& data, Metric metric, ProductType type,
                    float beta) {
    const std::vector<float> mean = mean_row(data.bank.view());
    const float* center = metric == Metric::l2 ? mean.data() : nullptr;
    return score_error(metric, type, d, longest(data.gallery, center, type),
                       longest(data.bank, center, type)) +
           1e-5 / beta;
}

void expect_offsets(const Data& data, Metric metric, ProductType type,
                    float beta) {
    const auto engine = make_engine_cpu(
        {type == ProductType::bf16 ? Precision::bf16 : Precision::fp32});
    std::vector<float> offsets(data.gallery.rows);
    TopLists winners(bank_rows, 1);
    const auto bank = engine->bind_bank(metric, data.bank.view());
    const auto probe = engine->begin_probe(*bank, {Method::is, beta, 1},
                                           {0, offsets, winners});
    probe->add(GalleryBlock{data.gallery.view()});
    probe->finish();
    const oracle::Row expected = oracle::is_offsets(
        oracle::similarities(metric, data.bank.view(), data.gallery.view()),
        beta);
    const double tolerance = tolerance_of(data, metric, type, beta);
    for (size_t i = 0; i < offsets.size(); i++) {
        ASSERT_NEAR(offsets[i], expected[i], tolerance)
            << "item " << i << ", beta " << beta;
    }
}

TEST(Probe, HasOffsetsWhereBf16LiftsScoresAboveTheLengths) {
    if (!has_fast_bf16()) GTEST_SKIP() << "no instructions for bf16 here";
    constexpr float up = 1 + 0x1p-8F + 0x1p-20F;  // becomes 1 + 2^-7
    constexpr float half_up = 0.5F * (1 + 253 * 0x1p-8F + 0x1p-20F);
    Data data{zeros(1), zeros(bank_rows)};
    for (float& x : data.gallery.data) x = up;
    for (idx_t i = 0; i < bank_rows; i++) {
        for (int j = 0; j < d; j++) {
            float& x = data.bank.data[i * d + j];
            // The first panel's scores are as high as lengths allow, the
            // second's are rounded higher.
            x = i == 0 ? 1 : j % 2 == 0 ? -0.1F : 0.1F;
            if (i >= bank_rows / 2) x = j % 2 == 0 ? half_up : up;
        }
    }
    for (const float beta : {20.0F, 1e3F, 1e4F}) {
        expect_offsets(data, Metric::inner_product, ProductType::bf16, beta);
    }
}

TEST(Probe, HasOffsetsWhereDistancesOfNearDuplicatesRoundAboveZero) {
    constexpr float size = 300;
    const Matrix direction = testdata::gaussian(1, d, 1);
    Data data{testdata::gaussian(40, d, 2),
              testdata::gaussian(bank_rows, d, 3)};
    // Two clusters, far from their mean: lengths are large, distances are not.
    for (idx_t i = 0; i < bank_rows; i++) {
        for (int j = 0; j < d; j++) {
            float& x = data.bank.data[i * d + j];
            x = size *
                ((i % 2 == 0 ? 1.0F : -1.0F) * direction.data[j] + 1e-6F * x);
        }
    }
    for (idx_t i = 0; i < data.gallery.rows * d; i++) {
        float& x = data.gallery.data[i];
        x = size * (direction.data[i % d] + 1e-6F * x);
    }
    for (const float beta : {1.0F, 1e2F, 1e3F, 1e4F}) {
        expect_offsets(data, Metric::l2, ProductType::fp32, beta);
    }
}

/// The winners of each bank query, by the oracle's ranking.
void expect_winners(const Data& data, const TopLists& winners) {
    const oracle::Rows scores = oracle::similarities(
        Metric::inner_product, data.bank.view(), data.gallery.view());
    for (idx_t query = 0; query < winners.rows(); query++) {
        const std::vector<idx_t> right = oracle::ranking(scores[query]);
        const std::vector<Scored> got = winners.sorted(query);
        ASSERT_EQ(static_cast<idx_t>(got.size()), winners.k());
        for (size_t i = 0; i < got.size(); i++) {
            ASSERT_EQ(got[i].label, right[i]) << "query " << query;
        }
    }
}

/// A probe that guesses from the rows of each eighth tile.
void expect_winners_of(const Data& data, idx_t k) {
    CpuOptions options;
    options.tiles = {16, 32};
    const auto engine = make_engine_cpu(options);
    std::vector<float> offsets(data.gallery.rows);
    TopLists winners(data.bank.rows, k);
    const auto bank =
        engine->bind_bank(Metric::inner_product, data.bank.view());
    const auto probe =
        engine->begin_probe(*bank, {Method::is, 1, 1}, {0, offsets, winners});
    probe->add(GalleryBlock{data.gallery.view()});
    probe->finish();
    expect_winners(data, winners);
}

TEST(Probe, HasTheWinnersThatASampleLetsExpect) {
    for (const idx_t k : {1, 10, 50}) {
        expect_winners_of(
            {testdata::gaussian(2500, d, 4), testdata::gaussian(70, d, 5)}, k);
    }
}

TEST(Probe, HasTheWinnersWhereASampleMisleads) {
    Data data{testdata::gaussian(2500, d, 4), testdata::gaussian(70, d, 5)};
    // What a sample sees is by far the best, and hardly more than it.
    for (idx_t i = 0; i < data.gallery.rows; i++) {
        const bool seen = i % (16 * 8) < 16;
        data.gallery.data[i * d] = seen && i < 600 ? 50 : -50;
    }
    for (idx_t i = 0; i < data.bank.rows; i++) data.bank.data[i * d] = 10;
    for (const idx_t k : {1, 10, 50, 100}) expect_winners_of(data, k);
}

}  // namespace
