#pragma once

#include <functional>

#include "cuda/operand.h"
#include "cuda/tiles.h"
#include "cuda/workspace.h"

namespace faiss_qbnorm::cuda {

/// Gallery rows x queries of a tile of scores.
struct TileShape {
    idx_t rows;
    int columns;
};

/// A probe's tiles always have their full shape, so that each score comes out
/// of the same kernel of cuBLAS however a gallery is cut.
TileShape probe_tile(const CudaTiles& tiles, idx_t bank_rows, bool fp16);
TileShape scan_tile(const CudaTiles& tiles, idx_t nq, bool fp16);

/// The columns [begin, end) of a queries' operand, whole tiles of it.
struct Panel {
    idx_t begin;
    idx_t end;
    idx_t queries;  ///< without the padding
};

/// The products of some gallery rows and some queries, row-major, as half
/// where the operands are, else as float.
struct Tile {
    const void* scores;
    idx_t first;  ///< tile row r is gallery row first + r * stride
    idx_t rows;
    idx_t stride;
    idx_t first_column;  ///< of the queries' operand
    int columns;         ///< the queries' operand has as many rows here, though
                         ///< some may be padding

    /// How many of the columns are queries.
    int queries(const Panel& panel) const {
        const idx_t left = panel.begin + panel.queries - first_column;
        return left < columns ? static_cast<int>(left) : columns;
    }
};

/// The gallery rows begin, begin + stride, ... before end.
struct RowRange {
    idx_t begin;
    idx_t end;
    idx_t stride = 1;
};

/// Multiplies gallery rows with the panel's queries, tile by tile, and has
/// `consume` put an epilogue on the tile's stream. (One fused kernel for both
/// would take this function's place.) A gallery row's tiles come in the order
/// of their columns, on one stream. Begins after and ends before what else is
/// on the workspace's first stream.
void sweep(Workspace& work, const Operand& gallery, const Operand& queries,
           const RowRange& range, const Panel& panel, const TileShape& shape,
           bool whole_tiles,
           const std::function<void(const Lane&, const Tile&)>& consume);

}  // namespace faiss_qbnorm::cuda
