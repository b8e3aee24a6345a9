// Oracle: what the plans' comments promise, counted the plain way.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "cuda/columns.h"
#include "cuda/kernel_filter.h"
#include "cuda/shortlist.h"
#include "cuda/sweep.h"
#include "faiss_qbnorm/core/normalization.h"
#include "tests/cuda/kernels.h"
#include "tests/data.h"

namespace {

using namespace faiss_qbnorm;
using namespace faiss_qbnorm::cuda;

constexpr idx_t galleries[] = {1,    2,    63,        64,        65,
                               1000, 4097, 1'000'000, 3'000'017, 2'000'000'000};
constexpr idx_t lengths[] = {1, 9, 16, 17, 100, 2048, 100'000};
constexpr idx_t capacities[] = {4, 64, 2048, 16384, 32768};

/// How many rows every stride-th are.
idx_t rows_of(idx_t rows, idx_t stride) {
    return (rows + stride - 1) / stride;
}

template <class Check>
void for_lists(Check check) {
    for (const idx_t rows : galleries) {
        for (const idx_t length : lengths) {
            for (const idx_t capacity : capacities) {
                SCOPED_TRACE(testing::Message()
                             << rows << " rows, length " << length
                             << ", capacity " << capacity);
                check(rows, length, capacity);
            }
        }
    }
}

/// How many times more rows a pass may have than the one that gave its
/// threshold: half the room is for chance, and less than twice is no progress.
idx_t most_growth(idx_t length, idx_t capacity) {
    return std::max<idx_t>(capacity / 2 / std::max<idx_t>(length, 16), 2);
}

TEST(SampleStrides, LetFewThroughEachTime) {
    for_lists([](idx_t rows, idx_t length, idx_t capacity) {
        auto strides = sample_strides(rows, length, capacity);
        if (rows <= capacity) {
            EXPECT_TRUE(strides.empty());
            return;
        }
        ASSERT_FALSE(strides.empty());
        // All of the first sample fits; a row may be one too many.
        EXPECT_LE(rows_of(rows, strides.front()), capacity + 1);
        strides.push_back(1);
        for (size_t i = 0; i + 1 < strides.size(); i++) {
            ASSERT_GT(strides[i], strides[i + 1]);
            EXPECT_LE(
                rows_of(rows, strides[i + 1]),
                most_growth(length, capacity) * rows_of(rows, strides[i]));
            EXPECT_EQ(strides[i] % strides[i + 1], 0);
        }
        // No sample too many: the second would not have fitted.
        EXPECT_GT(rows / strides[1], capacity);
    });
}

TEST(PassEnds, DoubleFromWhatWasSampled) {
    for_lists([](idx_t rows, idx_t length, idx_t capacity) {
        const auto ends = pass_ends(rows, length, capacity);
        ASSERT_FALSE(ends.empty());
        EXPECT_EQ(ends.back(), rows);
        if (rows <= capacity) {
            EXPECT_EQ(ends.size(), 1U);
            return;
        }
        const auto strides = sample_strides(rows, length, capacity);
        EXPECT_LE(ends.front(), 2 * rows_of(rows, strides.back()) + 1);
        EXPECT_GT(ends.front(), 0);
        for (size_t i = 0; i + 1 < ends.size(); i++) {
            ASSERT_LT(ends[i], ends[i + 1]);
            ASSERT_LE(ends[i + 1], 2 * ends[i] + 1);
        }
    });
}

TEST(Shortlists, HaveRoomWithinTheirMemory) {
    CudaTiles small;
    small.shortlist_least = 4;
    small.shortlist_most = 64;
    small.shortlist_bytes = 128 * 64 * 8;
    for (const CudaTiles& tiles : {CudaTiles{}, small}) {
        for (const idx_t queries : {1, 255, 256, 257, 5000, 1'000'000}) {
            for (const idx_t length : lengths) {
                SCOPED_TRACE(testing::Message()
                             << queries << " queries, length " << length);
                const idx_t capacity =
                    shortlist_capacity(tiles, queries, length);
                EXPECT_LE(capacity, tiles.shortlist_most);
                EXPECT_GE(capacity, tiles.shortlist_least);
                EXPECT_GE(capacity,
                          std::min(tiles.shortlist_most, 32 * length));
                if (queries <= 256) {
                    EXPECT_GE(capacity, std::min(tiles.shortlist_most,
                                                 8 * tiles.shortlist_least));
                }
                for (const int rankings : {1, 2}) {
                    for (const idx_t multiple : {8, 256, 1280}) {
                        const idx_t at_once = shortlist_queries(
                            tiles, queries, length, rankings, multiple);
                        const idx_t list = capacity * rankings * sizeof(Slot);
                        EXPECT_EQ(at_once % multiple, 0);
                        EXPECT_GE(at_once, multiple);
                        EXPECT_LT(at_once, queries + multiple);
                        // Within the memory, and as many as that holds.
                        EXPECT_TRUE(at_once == multiple ||
                                    at_once * list <= tiles.shortlist_bytes);
                        EXPECT_TRUE(at_once >= queries ||
                                    (at_once + multiple) * list >
                                        tiles.shortlist_bytes);
                    }
                }
            }
        }
    }
}

void expect_shape(const TileShape& shape, const CudaTiles& tiles, idx_t queries,
                  idx_t most_rows, bool fp16, idx_t multiple) {
    SCOPED_TRACE(testing::Message()
                 << queries << " queries, fp16 " << fp16 << ": " << shape.rows
                 << " x " << shape.columns);
    const idx_t bytes = shape.rows * shape.columns * (fp16 ? 2 : 4);
    EXPECT_EQ(shape.columns % multiple, 0);
    EXPECT_LE(shape.columns, std::max<idx_t>(tiles.tile_columns, multiple));
    EXPECT_EQ(shape.rows % 8, 0);
    EXPECT_LE(shape.rows, std::max<idx_t>(most_rows, 8));
    EXPECT_TRUE(bytes <= tiles.tile_bytes || shape.rows == 8) << bytes;
    // Rows are as many as there may be, but for what tensor cores round to.
    const idx_t step = shape.rows >= 128 ? 128 : 8;
    EXPECT_TRUE(shape.rows + step > most_rows ||
                (shape.rows + step) * shape.columns * (fp16 ? 2 : 4) >
                    tiles.tile_bytes);
    // As few tiles as may be, and none is mostly padding.
    const idx_t count = (queries + shape.columns - 1) / shape.columns;
    EXPECT_LE(count, (queries + tiles.tile_columns - 1) / tiles.tile_columns);
    EXPECT_LT(count * shape.columns - queries, count * multiple);
}

TEST(Tiles, CoverTheQueriesWithinTheirMemory) {
    CudaTiles narrow;
    narrow.tile_columns = 256;
    narrow.tile_bytes = 24 * 256 * 2;
    narrow.probe_rows = 24;
    narrow.scan_rows = 40;
    CudaTiles flat;
    flat.tile_bytes = 1;
    flat.tile_columns = 512;
    for (const CudaTiles& tiles : {CudaTiles{}, narrow, flat}) {
        for (const idx_t queries : {1, 7, 8, 9, 255, 256, 257, 511, 513, 2047,
                                    2048, 2049, 4096, 4097, 6200, 100'000}) {
            for (const bool fp16 : {false, true}) {
                expect_shape(probe_tile(tiles, queries, fp16), tiles, queries,
                             tiles.probe_rows, fp16, 256);
                const TileShape scan = scan_tile(tiles, queries, fp16);
                expect_shape(scan, tiles, queries, tiles.scan_rows, fp16,
                             scan.columns < 256 ? 8 : 256);
            }
        }
    }
}

TEST(Tiles, CountTheirQueries) {
    // 600 queries in panels of 512, in tiles of 256.
    const Panel first{0, 512, 512};
    const Panel second{512, 768, 88};
    EXPECT_EQ((Tile{nullptr, 0, 1, 1, 0, 256}.queries(first)), 256);
    EXPECT_EQ((Tile{nullptr, 0, 1, 1, 256, 256}.queries(first)), 256);
    EXPECT_EQ((Tile{nullptr, 0, 1, 1, 512, 256}.queries(second)), 88);
}

TEST(UnitNorms, AreWithinOnePercent) {
    const auto unit = [](double norm) {
        Matrix rows = testdata::unit(20, 10, 1);
        for (int j = 0; j < 10; j++) {
            rows.data[13 * 10 + j] *= static_cast<float>(norm);
        }
        return has_unit_norms(rows.view());
    };
    EXPECT_TRUE(unit(1));
    EXPECT_TRUE(unit(0.991));
    EXPECT_TRUE(unit(1.009));
    EXPECT_FALSE(unit(0.989));
    EXPECT_FALSE(unit(1.011));
    EXPECT_FALSE(unit(0));
}

/// `fill` of these rows and this center, held to the rows.
void expect_filled(const Columns& columns, const Matrix& rows,
                   const std::vector<float>& center, Metric metric, bool fp16) {
    SCOPED_TRACE(testing::Message() << name_of(metric) << ", fp16 " << fp16
                                    << ", centered " << !center.empty());
    const Operand& operand = columns.operand;
    const int d = rows.d;
    const idx_t padded = operand.padded_rows;
    ASSERT_EQ(padded, (rows.rows + 15) / 16 * 16);
    const auto read = [](const auto* from, idx_t n) {
        std::vector<std::decay_t<decltype(*from)>> result(n);
        check(cudaMemcpy(result.data(), from, n * sizeof(*from),
                         cudaMemcpyDeviceToHost),
              "reading");
        return result;
    };
    std::vector<float> padded_raw = rows.data;
    padded_raw.resize(padded * d);
    EXPECT_EQ(read(columns.raw.data(), padded * d), padded_raw);
    const auto element = [&](idx_t i) {
        if (!fp16) return static_cast<const float*>(operand.elements)[i];
        return static_cast<float>(
            static_cast<const __half*>(operand.elements)[i]);
    };
    double largest = 0;
    for (idx_t i = 0; i < padded; i++) {
        double squares = 0;
        double lost = 0;
        for (int j = 0; j < d; j++) {
            float x = i < rows.rows ? rows.view().row(i)[j] : 0;
            if (!center.empty() && i < rows.rows) x -= center[j];
            const double made =
                double{element(i * operand.ld + j)} * operand.scale;
            squares += double{x} * x;
            lost += (x - made) * (x - made);
        }
        const double norm = std::sqrt(squares);
        largest = std::max(largest, norm);
        if (i >= rows.rows) {
            EXPECT_EQ(lost, 0);
            EXPECT_EQ(read(operand.bias.data(), padded)[i], -INFINITY);
            continue;
        }
        EXPECT_GE(columns.norm(i), norm);
        EXPECT_LE(columns.norm(i), norm * (1 + 3e-6));
        EXPECT_GE(columns.error(i), std::sqrt(lost));
        EXPECT_LE(columns.error(i), fp16 ? norm * 0x1p-10 + 1e-8 : 0);
        EXPECT_FLOAT_EQ(read(operand.bias.data(), padded)[i],
                        metric == Metric::l2 ? -squares : 0);
    }
    EXPECT_GE(operand.largest_norm, largest);
    EXPECT_LE(operand.largest_norm, largest * (1 + 3e-6));
    if (!fp16) {
        EXPECT_EQ(operand.scale, 1);
        return;
    }
    EXPECT_EQ(std::exp2(std::round(std::log2(operand.scale))), operand.scale);
    EXPECT_LE(largest, operand.scale);
    EXPECT_GT(largest * 2, operand.scale * (1 - 1e-6));
}

TEST(Columns, AreTheRowsLessTheCenter) {
    const Stream stream;
    Upload upload;
    for (const float size : {1.0F, 1e-3F, 300.0F}) {
        Columns columns;  // filled again and again, larger and smaller
        for (const idx_t count : {5, 33, 16}) {
            Matrix rows = testdata::gaussian(count, 11, 4);
            for (float& x : rows.data) x *= size;
            for (const Metric metric : {Metric::inner_product, Metric::l2}) {
                for (const bool fp16 : {false, true}) {
                    fill(columns, metric, rows.view(), {}, fp16, 16, upload,
                         stream);
                    expect_filled(columns, rows, {}, metric, fp16);
                }
            }
        }
    }
}

TEST(Columns, ForgetTheCenterOfBefore) {
    const Stream stream;
    Upload upload;
    Columns columns;
    const Matrix rows = testdata::gaussian(20, 11, 4);
    const std::vector<float> center = testdata::gaussian(1, 11, 5).data;
    for (const auto& c : {center, std::vector<float>{}, center}) {
        fill(columns, Metric::l2, rows.view(), c, true, 16, upload, stream);
        expect_filled(columns, rows, c, Metric::l2, true);
    }
}

}  // namespace
