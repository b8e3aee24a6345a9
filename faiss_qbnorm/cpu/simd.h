#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "faiss_qbnorm/core/types.h"

/// The CPU engine's inner loops, compiled for several instruction sets; the
/// best that the processor has is chosen at run time. Rows of a tile follow
/// one another without gaps.

namespace faiss_qbnorm::simd {

/// What was chosen, in Highway's words: "AVX3" is AVX-512.
std::string instruction_set();

/// The squared length of a row, and of what its bfloat16 form lost. Summed in
/// float: d * 2^-23 off at most, relatively.
struct RowSize {
    float squares = 0;
    float lost_squares = 0;
};

/// Measures row - center (nullptr: zero) and writes it to `fp32` or, rounded
/// to nearest, to `bf16`, where these are not null. bf16 keeps no denormals.
RowSize load_row(const float* row, const float* center, int d, float* fp32,
                 std::uint16_t* bf16);

/// exact_score of core/formula.h, bit for bit.
float exact_score(Metric metric, const float* a, const float* b, int d);

/// The same of one row with `count` others, faster than one by one.
void exact_scores(Metric metric, const float* a, const float* const* rows,
                  idx_t count, int d, float* scores);

/// products[c * rows + r] = left row r . right row c, and the rows' squared
/// lengths: for few right rows, as fast as memory gives the left ones.
void dot_products(const float* left, idx_t rows, const float* right,
                  idx_t columns, int d, float* products, float* squares);

/// Products to L2 scores: 2 tile - left_squares[row] - right_squares[column].
void to_l2_scores(float* tile, idx_t rows, idx_t columns,
                  const float* left_squares, const float* right_squares);

/// maxima[r] = the largest of row r; NaN is passed over.
void row_maxima(const float* tile, idx_t rows, idx_t columns, float* maxima);

/// Sums of one row of scores.
struct ExpSums {
    float expm1 = 0;  ///< of exp(beta (s - shift)) - 1
    float exp = 0;    ///< of exp(beta (s - shift))
};

/// Sums each row of the tile. Exponentials must stay below 2^100; those under
/// 2^-125 count as that or less. Rows that are not `fine` are summed faster:
/// expm1 is exp - columns, and beta * shift must be small beside 2^24.
void exp_sums(const float* tile, idx_t rows, idx_t columns, float beta,
              const float* shifts, const std::uint8_t* fine, ExpSums* sums);

/// A place in a tile.
struct Place {
    std::int32_t row;
    std::int32_t column;
};

/// Appends the places that pass: where !(s < raw[column]) or, with offsets,
/// !(s - offsets[row] < normalised[column]). Among scores of NaN only what
/// passes a threshold of -infinity is certain to be found.
void select(const float* tile, idx_t rows, idx_t columns, const float* raw,
            const float* offsets, const float* normalised,
            std::vector<Place>& places);

/// The same of one column of n rows: places have column 0.
void select_column(const float* scores, idx_t n, float raw,
                   const float* offsets, float normalised,
                   std::vector<Place>& places);

/// bounds[c]: at least `groups` rows of column c score no less (s, or s -
/// offsets[row]). groups must be at most rows.
void column_bounds(const float* tile, idx_t rows, idx_t columns,
                   const float* offsets, idx_t groups, float* bounds);

/// above[c] += rows with s > high[c]; appends the places with s in
/// [low[c], high[c]] and those of NaN. s as in column_bounds.
void count_above(const float* tile, idx_t rows, idx_t columns,
                 const float* offsets, const float* low, const float* high,
                 idx_t* above, std::vector<Place>& places);

/// A value that at least k of the n values are no less than and, but for ties
/// and infinities, at most `most` of them. k is at most n, and none is NaN.
float kth_bound(const float* values, idx_t n, idx_t k, idx_t most);

}  // namespace faiss_qbnorm::simd
