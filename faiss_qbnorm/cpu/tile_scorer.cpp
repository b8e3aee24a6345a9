#include "faiss_qbnorm/cpu/tile_scorer.h"

#include <algorithm>
#include <cmath>

namespace faiss_qbnorm {

TileScorer::TileScorer(const Queries& queries)
    : queries_(queries),
      multiplier_(queries.packed->multiplier()),
      tile_(queries.shape.left_rows * queries.shape.panel_rows),
      squares_(queries.shape.left_rows),
      lost_squares_(queries.shape.left_rows) {
    const size_t factors = queries.shape.left_rows * queries.shape.d;
    if (queries.few() && !queries.center) return;
    if (queries.scoring.type == ProductType::bf16) {
        bf16_.resize(factors);
    } else {
        fp32_.resize(factors);
    }
}

void TileScorer::load(const MatrixView& gallery, idx_t begin, idx_t end,
                      idx_t place) {
    const int d = queries_.shape.d;
    const bool bf16 = !bf16_.empty();
    const bool whole = end - begin == queries_.shape.left_rows;
    const bool in_place = !bf16 && !queries_.center && whole;
    place_ = place;
    rows_ = end - begin;
    bound_ = {};
    left_ = {in_place ? gallery.row(begin) : fp32_.data(),
             bf16 ? bf16_.data() : nullptr};
    if (!whole) {  // what other rows left
        std::fill(fp32_.begin(), fp32_.end(), 0.0F);
        std::fill(bf16_.begin(), bf16_.end(), std::uint16_t{0});
    }
    for (idx_t i = begin; i < end; i++) {
        const idx_t row = place + i - begin;
        float* fp32 = bf16 || in_place ? nullptr : fp32_.data() + row * d;
        const simd::RowSize size =
            simd::load_row(gallery.row(i), queries_.center, d, fp32,
                           bf16 ? bf16_.data() + row * d : nullptr);
        squares_[row] = size.squares;
        lost_squares_[row] = size.lost_squares;
    }
    bound_ = bound_of(gallery.slice(begin, end), queries_.center,
                      squares_.data() + place, lost_squares_.data() + place);
}

float TileScorer::error() const {
    return score_error(queries_.metric, queries_.scoring.type, queries_.shape.d,
                       bound_, queries_.bound);
}

const float* TileScorer::score(idx_t panel) {
    const idx_t width = queries_.shape.width(panel);
    multiplier_->multiply(left_, place_, place_ + rows_, panel, tile_.data());
    float* scores = tile_.data() + place_ * width;
    if (queries_.metric == Metric::l2) {
        simd::to_l2_scores(
            scores, rows_, width, squares_.data() + place_,
            queries_.squares.data() + panel * queries_.shape.panel_rows);
    }
    return scores;
}

float TileScorer::error(idx_t query) const {
    return score_error(queries_.metric, queries_.scoring.type, queries_.shape.d,
                       bound_, queries_.bounds[query]);
}

float TileScorer::reach(idx_t i) const {
    const float norm = std::sqrt(squares_[place_ + i]);
    const float most = queries_.bound.norm;
    return queries_.metric == Metric::l2 ? (norm + most) * (norm + most)
                                         : norm * most;
}

const float* TileScorer::score_few(const MatrixView& gallery, idx_t begin,
                                   idx_t end) {
    const idx_t columns = queries_.shape.right_rows;
    const int d = queries_.shape.d;
    const idx_t rows = end - begin;
    const float* left = gallery.row(begin);
    if (queries_.center) {
        for (idx_t i = 0; i < rows; i++) {
            simd::load_row(gallery.row(begin + i), queries_.center, d,
                           fp32_.data() + i * d, nullptr);
        }
        left = fp32_.data();
    }
    simd::dot_products(left, rows, queries_.plain(), columns, d, tile_.data(),
                       squares_.data());
    bound_ = bound_of(gallery.slice(begin, end), queries_.center,
                      squares_.data(), lost_squares_.data());
    if (queries_.metric == Metric::l2) {
        simd::to_l2_scores(tile_.data(), columns, rows, queries_.squares.data(),
                           squares_.data());
    }
    return tile_.data();
}

}  // namespace faiss_qbnorm
