// Oracle: naive loops over the tile.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <utility>

#include "faiss_qbnorm/cpu/simd.h"
#include "tests/cpu/guarded.h"
#include "tests/cpu/instruction_sets.h"

namespace {

using namespace faiss_qbnorm;
using Floats = guarded::Array<float>;
using Places = std::vector<std::pair<int, int>>;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

class SimdSelect : public instruction_sets::OnEach {};
QBNORM_ON_EACH_INSTRUCTION_SET(SimdSelect);

/// Scores of few values, hence with ties, and here and there NaN and Inf.
std::vector<float> scores(size_t n, std::uint32_t seed, bool wild) {
    std::mt19937 random(seed);
    std::vector<float> values(n);
    for (float& x : values) {
        x = static_cast<float>(random() % 41) / 8 - 2;
        if (!wild) continue;
        const std::uint32_t lot = random() % 16;
        if (lot == 0) x = nan;
        if (lot == 1) x = random() % 2 ? infinity : -infinity;
    }
    return values;
}

/// A tile with all that goes with its rows and columns.
struct Tile {
    idx_t rows;
    idx_t columns;
    Floats scores;
    Floats offsets;

    Tile(idx_t rows, idx_t columns, std::uint32_t seed, bool wild)
        : rows(rows),
          columns(columns),
          scores(::scores(rows * columns, seed, wild)),
          offsets(::scores(rows, seed + 1, false)) {}

    float at(idx_t row, idx_t column) const {
        return scores[row * columns + column];
    }
    float score(idx_t row, idx_t column, bool with_offsets) const {
        return with_offsets ? at(row, column) - offsets[row] : at(row, column);
    }
    const float* offsets_or_null(bool with_offsets) const {
        return with_offsets ? offsets.data() : nullptr;
    }

    Places where(const std::function<bool(idx_t, idx_t)>& passes) const {
        Places places;
        for (idx_t r = 0; r < rows; r++) {
            for (idx_t c = 0; c < columns; c++) {
                if (passes(r, c)) places.emplace_back(r, c);
            }
        }
        return places;
    }
};

/// Every tile and option that the cases below go through.
void for_each_tile(const std::function<void(Tile&, bool)>& check) {
    for (const int columns : instruction_sets::sizes()) {
        for (const bool wild : {false, true}) {
            Tile tile(1 + columns % 11, columns, columns, wild);
            for (const bool with_offsets : {false, true}) {
                SCOPED_TRACE(testing::Message()
                             << columns << " columns, wild " << wild
                             << ", offsets " << with_offsets);
                check(tile, with_offsets);
                if (testing::Test::HasFailure()) return;
            }
        }
    }
}

/// In order; the place that stood before is there still.
Places appended(const std::vector<simd::Place>& places) {
    EXPECT_FALSE(places.empty());
    EXPECT_EQ(places[0].row, -7);
    Places result;
    for (size_t i = 1; i < places.size(); i++) {
        result.emplace_back(places[i].row, places[i].column);
    }
    std::sort(result.begin(), result.end());
    return result;
}

const std::vector<simd::Place> stood_before{{-7, -7}};

/// Thresholds of a kind: scores pass often, seldom, never, always.
std::vector<float> thresholds(size_t n, int kind, std::uint32_t seed) {
    std::vector<float> result = scores(n, seed, kind == 0);
    for (float& x : result) {
        if (kind == 1) x += 4.5F;
        if (kind == 2) x = 1e9F;
        if (kind == 3) x = -infinity;
    }
    return result;
}

/// The same scores without NaN.
void forget_nan(Tile& tile) {
    for (float& s : tile.scores) s = std::isnan(s) ? 0 : s;
}

TEST_P(SimdSelect, SelectFindsWhatPasses) {
    for_each_tile([](Tile& tile, bool with_offsets) {
        for (const int kinds :
             {3, 7, 11, 15, 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14}) {
            // Among NaN only what passes -infinity is certain to be found.
            if (kinds % 4 != 3) forget_nan(tile);
            const Floats raw(thresholds(tile.columns, kinds % 4, 3));
            const Floats normalised(thresholds(tile.columns, kinds / 4, 4));
            std::vector<simd::Place> places = stood_before;
            simd::select(tile.scores.data(), tile.rows, tile.columns,
                         raw.data(), tile.offsets_or_null(with_offsets),
                         normalised.data(), places);
            ASSERT_EQ(appended(places), tile.where([&](idx_t r, idx_t c) {
                return !(tile.at(r, c) < raw[c]) ||
                       (with_offsets &&
                        !(tile.at(r, c) - tile.offsets[r] < normalised[c]));
            })) << "thresholds "
                << kinds;
        }
    });
}

TEST_P(SimdSelect, SelectWithoutOffsetsReadsNoNormalised) {
    const Tile tile(3, 67, 5, false);
    const Floats raw(67, 1);
    std::vector<simd::Place> places = stood_before;
    simd::select(tile.scores.data(), 3, 67, raw.data(), nullptr, nullptr,
                 places);
    EXPECT_EQ(appended(places), tile.where([&](idx_t r, idx_t c) {
        return !(tile.at(r, c) < 1);
    }));
}

void expect_column_selected(const Tile& column, float raw, const float* offsets,
                            float normalised) {
    std::vector<simd::Place> places = stood_before;
    simd::select_column(column.scores.data(), column.rows, raw, offsets,
                        normalised, places);
    ASSERT_EQ(appended(places), column.where([&](idx_t r, idx_t) {
        const float s = column.at(r, 0);
        return !(s < raw) || (offsets && !(s - offsets[r] < normalised));
    })) << raw
        << ", " << normalised;
}

TEST_P(SimdSelect, SelectColumnFindsWhatPasses) {
    for (const int n : instruction_sets::sizes()) {
        for (const bool wild : {false, true}) {
            const Tile column(n, 1, n, wild);
            for (const float raw : {0.5F, 2.9F, 1e9F, -infinity, nan}) {
                for (const float normalised :
                     {0.5F, 4.0F, 1e9F, -infinity, nan}) {
                    SCOPED_TRACE(n);
                    expect_column_selected(column, raw, nullptr, normalised);
                    expect_column_selected(column, raw, column.offsets.data(),
                                           normalised);
                    if (HasFatalFailure()) return;
                }
            }
        }
    }
}

TEST_P(SimdSelect, CountAboveCountsAndFindsWhatIsNear) {
    for_each_tile([](const Tile& tile, bool with_offsets) {
        for (const float width : {0.0F, 0.25F, 9.0F, infinity}) {
            std::vector<float> low = scores(tile.columns, 6, false);
            std::vector<float> high = low;
            for (float& x : low) x -= width;
            for (float& x : high) x += width;
            const Floats guarded_low(low);
            const Floats guarded_high(high);
            guarded::Array<idx_t> above(tile.columns, 1000);
            std::vector<simd::Place> places = stood_before;
            simd::count_above(tile.scores.data(), tile.rows, tile.columns,
                              tile.offsets_or_null(with_offsets),
                              guarded_low.data(), guarded_high.data(),
                              above.data(), places);
            ASSERT_EQ(appended(places), tile.where([&](idx_t r, idx_t c) {
                const float s = tile.score(r, c, with_offsets);
                return std::isnan(s) || (s >= low[c] && s <= high[c]);
            })) << "width "
                << width;
            for (idx_t c = 0; c < tile.columns; c++) {
                idx_t expected = 1000;
                for (idx_t r = 0; r < tile.rows; r++) {
                    expected += tile.score(r, c, with_offsets) > high[c];
                }
                ASSERT_EQ(above[c], expected) << c;
            }
        }
    });
}

TEST_P(SimdSelect, RowMaximaPassOverNaN) {
    for_each_tile([](const Tile& all, bool negative) {
        Tile tile(all.rows, all.columns, 7, true);
        for (float& s : tile.scores) s -= negative ? 9.0F : 0.0F;
        Floats maxima(tile.rows, nan);
        simd::row_maxima(tile.scores.data(), tile.rows, tile.columns,
                         maxima.data());
        for (idx_t r = 0; r < tile.rows; r++) {
            float most = -infinity;
            for (idx_t c = 0; c < tile.columns; c++) {
                most = std::fmax(most, tile.at(r, c));
            }
            ASSERT_EQ(maxima[r], most);
        }
    });
}

/// How many rows of a column score no less than its bound, over all columns.
double rows_within(const Tile& tile, bool with_offsets, idx_t groups) {
    Floats bounds(tile.columns, nan);
    simd::column_bounds(tile.scores.data(), tile.rows, tile.columns,
                        tile.offsets_or_null(with_offsets), groups,
                        bounds.data());
    idx_t all = 0;
    for (idx_t c = 0; c < tile.columns; c++) {
        idx_t within = 0;
        idx_t numbers = 0;
        for (idx_t r = 0; r < tile.rows; r++) {
            within += tile.score(r, c, with_offsets) >= bounds[c];
            numbers += !std::isnan(tile.score(r, c, with_offsets));
        }
        // A bound of -Inf asks nothing: some group was all NaN.
        if (numbers == tile.rows || bounds[c] > -infinity) {
            EXPECT_GE(within, groups) << "column " << c;
        }
        all += within;
    }
    return static_cast<double>(all) / static_cast<double>(tile.columns);
}

TEST_P(SimdSelect, ColumnBoundsHaveAsManyRowsWithin) {
    for (const int columns : instruction_sets::sizes()) {
        for (const idx_t groups : {1, 2, 7, 10}) {
            for (const idx_t rows : {groups, groups + 1, 3 * groups + 2}) {
                SCOPED_TRACE(testing::Message() << columns << " columns, "
                                                << groups << " of " << rows);
                for (const bool wild : {false, true}) {
                    const Tile tile(rows, columns, columns, wild);
                    rows_within(tile, false, groups);
                    rows_within(tile, true, groups);
                }
                if (HasFailure()) return;
            }
        }
    }
}

TEST_P(SimdSelect, ColumnBoundsExcludeMostRows) {
    for (const bool with_offsets : {false, true}) {
        const Tile tile(256, 77, 8, false);
        // Ties: 41 distinct scores, so more than one row has the highest.
        EXPECT_LT(rows_within(tile, with_offsets, 1), 16);
        EXPECT_LT(rows_within(tile, with_offsets, 10), 96);
    }
}

}  // namespace
