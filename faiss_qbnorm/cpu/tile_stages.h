#pragma once

#include <vector>

#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm {

/// Tiles to go through before what they taught is looked at.
struct TileStage {
    std::vector<idx_t> tiles;
    idx_t seen;  ///< how many tiles there are in it and all before it
};

/// Every tile of [0, tiles) once. With samples, a few that lie evenly come
/// first, and then some more: what they teach keeps out most of the next ones'
/// rows.
inline std::vector<TileStage> tile_stages(idx_t tiles, bool with_samples) {
    std::vector<TileStage> stages;
    std::vector<bool> taken(tiles, false);
    idx_t seen = 0;
    for (const idx_t stride : {64, 8, 1}) {
        if (stride > 1 && (!with_samples || tiles < stride)) continue;
        TileStage stage;
        for (idx_t i = 0; i < tiles; i += stride) {
            if (!taken[i]) stage.tiles.push_back(i);
            taken[i] = true;
        }
        seen += static_cast<idx_t>(stage.tiles.size());
        stage.seen = seen;
        stages.push_back(std::move(stage));
    }
    return stages;
}

}  // namespace faiss_qbnorm
