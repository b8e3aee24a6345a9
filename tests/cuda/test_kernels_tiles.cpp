// Oracle: plain loops over doubles. Scores are multiples of 1/64, so that what
// the kernels compute of them in float is exact, up to the exponentials.

#include "tests/cuda/kernels.h"

#include <algorithm>
#include <set>

#include "cuda/kernel_filter.h"
#include "cuda/kernel_fold.h"

namespace {

using namespace faiss_qbnorm;
using namespace faiss_qbnorm::cuda;
using kernels::OnDevice;

/// A tile of random products, and what makes scores of them. Tiles of one
/// `first` and `stride` have the same gallery rows.
struct TileCase {
    idx_t rows;
    int columns;
    int queries;
    idx_t first;  ///< tile row r is gallery row first + r * stride
    idx_t stride;
    std::vector<float> products;
    std::vector<float> query_bias;
    std::vector<float> bias;
    std::vector<float> offsets;
    std::vector<float> weight;
    static constexpr float scale = 0.5F;

    TileCase(idx_t rows, int columns, int queries, idx_t first, idx_t stride,
             std::uint32_t seed)
        : rows(rows),
          columns(columns),
          queries(queries),
          first(first),
          stride(stride),
          products(kernels::lattice(rows * columns, 4, seed)),
          query_bias(kernels::lattice(columns, 2, seed + 1)),
          bias(kernels::lattice(row(rows - 1) + 1, 2, 91)),
          offsets(kernels::lattice(row(rows - 1) + 1, 2, 92)) {
        for (size_t i = 0; i < bias.size(); i++) {
            weight.push_back(std::ldexp(1.0F, static_cast<int>(i % 4)));
        }
        for (int i = queries; i < columns; i++) query_bias[i] = -INFINITY;
    }

    idx_t row(idx_t r) const { return first + r * stride; }

    double score(idx_t r, int column) const {
        return double{products[r * columns + column]} * weight[row(r)] * scale +
               query_bias[column] + bias[row(r)];
    }
};

std::vector<float> padded(std::vector<float> thresholds) {
    thresholds.resize((thresholds.size() + 255) / 256 * 256, INFINITY);
    return thresholds;
}

/// Shortlists of a tile's queries by score or, where normalised, by score -
/// offset. Every fifth takes all there is; the others' thresholds are scores
/// of the tile.
struct Lists {
    const TileCase& tile;
    bool normalised;
    unsigned capacity;
    std::vector<float> thresholds;
    OnDevice<float> device_thresholds;
    OnDevice<unsigned> counts;
    OnDevice<Slot> slots;
    static constexpr Slot unused{-77, 12345};

    Lists(const TileCase& tile, bool normalised, unsigned capacity)
        : tile(tile),
          normalised(normalised),
          capacity(capacity),
          thresholds(thresholds_of()),
          device_thresholds(padded(thresholds)),
          counts(tile.queries, 0),
          slots(tile.queries * idx_t{capacity}, unused) {}

    ShortlistView view() const {
        return {device_thresholds, counts, slots, capacity};
    }

    double score(idx_t r, int query) const {
        return tile.score(r, query) -
               (normalised ? tile.offsets[tile.row(r)] : 0);
    }

    std::vector<float> thresholds_of() const {
        std::vector<float> result(tile.queries);
        for (int q = 0; q < tile.queries; q++) {
            std::vector<double> some;  // of the first rows: near their best
            for (idx_t r = 0; r < std::min<idx_t>(tile.rows, 64); r++) {
                const double s = score(r, q);
                if (!std::isnan(s)) some.push_back(s);
            }
            std::sort(some.rbegin(), some.rend());
            result[q] = q % 5 == 0 || some.empty()
                            ? -INFINITY
                            : static_cast<float>(some[q % some.size() / 4]);
        }
        return result;
    }

    /// Exactly the scores that reach their threshold have been counted, and
    /// as many as have room are there. Returns how many lists were too short.
    idx_t expect_right() const {
        const auto all = slots.read();
        const auto counted = counts.read();
        idx_t full = 0;
        for (int q = 0; q < tile.queries; q++) {
            std::multiset<std::pair<double, std::uint32_t>> kept;
            for (idx_t r = 0; r < tile.rows; r++) {
                const double s = score(r, q);
                if (s < thresholds[q]) continue;
                kept.emplace(std::isnan(s) ? 1e300 : s, tile.row(r));
            }
            EXPECT_EQ(counted[q], kept.size()) << "query " << q;
            full += counted[q] > capacity;
            for (unsigned i = 0; i < capacity; i++) {
                const Slot& slot = all[q * idx_t{capacity} + i];
                if (i >= counted[q]) {
                    EXPECT_EQ(slot.row, unused.row) << "query " << q;
                    continue;
                }
                const bool nan = std::isnan(slot.score);
                const auto found =
                    kept.find({nan ? 1e300 : slot.score, slot.row});
                if (found == kept.end()) {
                    ADD_FAILURE() << "query " << q << " holds " << slot.score
                                  << " of row " << slot.row;
                    return full;
                }
                kept.erase(found);
            }
        }
        return full;
    }
};

/// What a fold keeps of gallery rows.
struct Sums {
    OnDevice<float> largest;
    OnDevice<double> sums;
};

/// Of whole blocks of rows, as the kernel takes them; what is padding there
/// holds what nobody should see.
template <class Score, bool L2, bool Filter>
void fold(const TileCase& tile, float rate, bool is_new, const Sums& sums,
          const Lists& lists) {
    const idx_t whole = (tile.rows + fold_rows - 1) / fold_rows * fold_rows;
    std::vector<float> products = tile.products;
    std::vector<float> weight = tile.weight;
    std::vector<float> bias = tile.bias;
    products.resize(whole * tile.columns, NAN);
    weight.resize(tile.first + whole, 1);
    bias.resize(tile.first + whole, -INFINITY);
    if (!L2) bias.assign(bias.size(), NAN);
    const OnDevice<Score> scores(kernels::as<Score>(products));
    const OnDevice<float> device_weight(weight);
    const OnDevice<float> device_bias(bias);
    const OnDevice<float> query_bias(tile.query_bias);
    kernels::run(kernel_fold<Score, L2, Filter>,
                 dim3(kernels::blocks(tile.rows, fold_rows)), fold_threads,
                 FoldArguments<Score>{
                     scores, tile.first, tile.rows, tile.columns, tile.queries,
                     device_weight, device_bias, query_bias, TileCase::scale,
                     rate, is_new, sums.largest, sums.sums, lists.view()});
}

/// Of the gallery rows of `tiles`: the largest score and the sum.
void expect_sums(const std::vector<const TileCase*>& tiles, float rate,
                 const Sums& sums, float untouched) {
    const TileCase& tile = *tiles.front();
    const auto largest = sums.largest.read();
    const auto total = sums.sums.read();
    for (idx_t row = 0; row < static_cast<idx_t>(largest.size()); row++) {
        const idx_t r = row - tile.first;
        if (r < 0 || r >= tile.rows) {
            ASSERT_EQ(largest[row], untouched) << "row " << row;
            ASSERT_EQ(total[row], untouched) << "row " << row;
            continue;
        }
        double most = -INFINITY;
        bool nan = false;
        for (const TileCase* t : tiles) {
            for (int q = 0; q < t->columns; q++) {
                nan = nan || std::isnan(t->score(r, q));
                most = std::fmax(most, t->score(r, q));
            }
        }
        double sum = 0;
        for (const TileCase* t : tiles) {
            for (int q = 0; q < t->queries; q++) {
                sum += std::exp2((t->score(r, q) - most) * rate);
            }
        }
        if (nan) {
            ASSERT_TRUE(std::isnan(total[row])) << "row " << row;
            continue;
        }
        ASSERT_EQ(largest[row], most) << "row " << row;
        // As exact as if the largest score had its last bit wrong.
        const double tolerance = 1e-5 + std::fabs(most) * rate * 0x1p-23;
        ASSERT_NEAR(std::log2(total[row]), std::log2(sum), tolerance)
            << "row " << row;
    }
}

struct FoldCase {
    idx_t rows;
    int queries;  ///< of the later tile; the first has 300
    float rate;
    float lift;  ///< of the later tile's scores
    bool nan;
};

int columns_for(int queries) {
    return (queries + fold_columns - 1) / fold_columns * fold_columns;
}

template <class Score, bool L2, bool Filter>
void expect_folded(const FoldCase& c) {
    SCOPED_TRACE(testing::Message()
                 << c.rows << " rows, " << c.queries << " queries, rate "
                 << c.rate << ", lift " << c.lift << ", nan " << c.nan
                 << ", l2 " << L2 << ", filter " << Filter);
    TileCase first(c.rows, columns_for(300), 300, 16, 1, 10);
    TileCase later(c.rows, columns_for(c.queries), c.queries, 16, 1, 20);
    for (int q = 0; q < c.queries; q++) later.query_bias[q] += c.lift;
    if (!L2) {
        first.bias.assign(first.bias.size(), 0);
        later.bias = first.bias;
    }
    if (c.nan) {
        later.products[0] = NAN;
        later.products.back() = NAN;  // of padding, mostly
    }
    constexpr float untouched = -99;
    const Sums sums{OnDevice<float>(c.rows + 24, untouched),
                    OnDevice<double>(c.rows + 24, untouched)};
    const auto capacity = static_cast<unsigned>(c.rows * 2 / 3);
    const Lists first_lists(first, false, capacity);
    const Lists later_lists(later, false, capacity);
    fold<Score, L2, Filter>(first, c.rate, true, sums, first_lists);
    expect_sums({&first}, c.rate, sums, untouched);
    fold<Score, L2, Filter>(later, c.rate, false, sums, later_lists);
    expect_sums({&first, &later}, c.rate, sums, untouched);
    if (Filter) {
        EXPECT_GT(first_lists.expect_right(), 0);
        EXPECT_GT(later_lists.expect_right(), 0);
    }
}

template <class Score, bool L2>
void expect_folds() {
    kernels::for_seeds([] {
        for (const int queries : {1, 255, 256, 257}) {
            for (const idx_t rows : {1, 7, 8, 9}) {
                expect_folded<Score, L2, true>(
                    {rows, queries, 28.9F, 1, rows > 8});
            }
            expect_folded<Score, L2, false>({7, queries, 28.9F, 1, false});
        }
        for (const float rate : {1e-3F, 0.3F, 1.7F, 14427.0F}) {
            for (const float lift : {-1000.0F, 0.0F, 1000.0F}) {
                expect_folded<Score, L2, true>({9, 40, rate, lift, false});
            }
        }
        expect_folded<Score, L2, true>({9, 2049, 28.9F, 0, false});
        expect_folded<Score, L2, false>({3, 4100, 0.3F, 0, false});
    });
}

TEST(Fold, SumsAndFiltersTilesOfHalf) {
    expect_folds<__half, false>();
    expect_folds<__half, true>();
}

TEST(Fold, SumsAndFiltersTilesOfFloat) {
    expect_folds<float, false>();
    expect_folds<float, true>();
}

TEST(Fold, StandsScoresOfAnySize) {
    for (const float size : {-0x1p125F, -0x1p115F, 0x1p115F, 0x1p125F}) {
        for (const float rate : {0x1p-120F, 1.0F, 14427.0F}) {
            // Beyond, offsets come out as NaN or -infinity, which fit refuses.
            if (std::fabs(size) * rate > 1e38F) continue;
            SCOPED_TRACE(testing::Message() << size << ", rate " << rate);
            TileCase tile(3, 256, 100, 0, 1, 10);
            tile.bias.assign(tile.bias.size(), 0);
            for (int q = 0; q < 100; q++) tile.query_bias[q] = size;
            tile.query_bias[7] = size * 1.5F;
            const Sums sums{OnDevice<float>(3, -99), OnDevice<double>(3, -99)};
            const Lists none(tile, false, 0);
            fold<float, true, false>(tile, rate, true, sums, none);
            // All the rest is lost beside the size.
            const float most = std::fmax(size, size * 1.5F);
            for (int r = 0; r < 3; r++) {
                EXPECT_EQ(sums.largest.read()[r], most);
                const double low =
                    std::exp2(double{rate} * -std::fabs(size / 2));
                EXPECT_NEAR(sums.sums.read()[r],
                            size > 0 ? 1 + 99 * low : 99 + low, 1e-5);
            }
        }
    }
}

template <class Score, bool Normalised>
idx_t expect_filtered(const TileCase& tile, int groups) {
    SCOPED_TRACE(testing::Message()
                 << tile.rows << " rows, " << tile.columns << " columns, "
                 << groups << " groups, stride " << tile.stride
                 << ", normalised " << Normalised);
    const OnDevice<Score> scores(kernels::as<Score>(tile.products));
    const OnDevice<float> weight(tile.weight);
    const OnDevice<float> bias(tile.bias);
    const OnDevice<float> query_bias(tile.query_bias);
    const OnDevice<float> offsets(tile.offsets);
    const auto capacity = static_cast<unsigned>(tile.rows / 2 + 1);
    const Lists raw(tile, false, capacity);
    const Lists normalised(tile, true, capacity);
    kernels::run(
        kernel_filter<Score, Normalised>,
        dim3(kernels::blocks(tile.columns, groups * vector_size),
             kernels::blocks(tile.rows, filter_threads / groups * filter_rows)),
        filter_threads,
        FilterArguments<Score>{
            scores, tile.first, tile.rows, tile.stride, tile.columns,
            tile.queries, weight, bias, query_bias, TileCase::scale,
            Normalised ? offsets.data() : nullptr, raw.view(),
            Normalised ? normalised.view() : ShortlistView{}, groups});
    const idx_t full = raw.expect_right();
    return full + (Normalised ? normalised.expect_right() : 0);
}

template <class Score>
void expect_filters() {
    kernels::for_seeds([] {
        struct Shape {
            int groups;
            int columns;
            int queries;
            std::vector<idx_t> rows;
        };
        const std::vector<Shape> shapes = {
            {1, 8, 1, {1, 255, 256, 257, 8193}},
            {2, 16, 11, {127, 128, 129}},
            {4, 24, 24, {63, 64, 65, 2049}},
            {8, 64, 57, {31, 33, 1025}},
            {16, 136, 130, {15, 17, 513}},
            {32, 264, 261, {1, 7, 8, 9, 31, 33, 256, 257}},
        };
        idx_t full = 0;
        for (const Shape& shape : shapes) {
            for (const idx_t rows : shape.rows) {
                const idx_t stride = rows % 2 == 0 ? 1 : 3;
                TileCase tile(rows, shape.columns, shape.queries, 2, stride,
                              30);
                tile.products[rows / 2 * shape.columns] = NAN;
                full += expect_filtered<Score, false>(tile, shape.groups);
                full += expect_filtered<Score, true>(tile, shape.groups);
            }
        }
        EXPECT_GT(full, 0);
    });
}

TEST(Filter, TakesTilesOfHalf) {
    expect_filters<__half>();
}

TEST(Filter, TakesTilesOfFloat) {
    expect_filters<float>();
}

}  // namespace
