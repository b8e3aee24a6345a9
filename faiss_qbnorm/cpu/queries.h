#pragma once

#include <memory>
#include <vector>

#include "faiss_qbnorm/cpu/product.h"
#include "faiss_qbnorm/cpu/score_error.h"
#include "faiss_qbnorm/cpu/tiles.h"

namespace faiss_qbnorm {

/// How scores are made.
struct Scoring {
    CpuTiles tiles;
    ProductType type = ProductType::fp32;
    bool blas = false;  ///< though oneDNN is there
    /// Of up to few_queries queries: their scores with a row cost less than
    /// reading it, and they are not packed.
    bool few = false;

    Scoring of_few() const { return {tiles, ProductType::fp32, true, true}; }
};

constexpr idx_t few_queries = 8;

/// Bank or search queries, packed to be scored against gallery tiles.
struct Queries {
    Scoring scoring;
    Metric metric;
    MatrixView rows;
    /// What is taken from both sides before a product: for L2 a point amid the
    /// data, which keeps distances' digits far from the origin; else null.
    const float* center;
    ProductShape shape;
    std::vector<float> squares;  ///< of each row without the center
    std::vector<RowBound> bounds;
    std::vector<RowBound> panel_bounds;  ///< covers each panel's
    RowBound bound;                      ///< covers all
    std::unique_ptr<PackedRows> packed;
    HugeVector<float> centered;  ///< where BLAS refers to it

    /// `rows` and `center` must outlive this.
    Queries(const Scoring& scoring, Metric metric, const MatrixView& rows,
            const float* center);

    bool few() const { return scoring.few; }

    /// The rows as a product without packing takes them.
    const float* plain() const {
        return centered.empty() ? rows.data : centered.data();
    }
};

}  // namespace faiss_qbnorm
