// Oracle: what the stages promise, checked tile by tile.

#include "faiss_qbnorm/cpu/tile_stages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace {

using namespace faiss_qbnorm;

TEST(TileStages, TakeEveryTileOnce) {
    for (const idx_t tiles : {0, 1, 7, 8, 9, 63, 64, 65, 1000}) {
        for (const bool with_samples : {false, true}) {
            std::multiset<idx_t> taken;
            for (const TileStage& stage : tile_stages(tiles, with_samples)) {
                taken.insert(stage.tiles.begin(), stage.tiles.end());
                EXPECT_EQ(stage.seen, static_cast<idx_t>(taken.size()));
            }
            ASSERT_EQ(static_cast<idx_t>(taken.size()), tiles);
            for (idx_t i = 0; i < tiles; i++) EXPECT_EQ(taken.count(i), 1U);
        }
    }
}

TEST(TileStages, BeginWithFewTilesThatLieEvenly) {
    EXPECT_EQ(tile_stages(1000, false).size(), 1U);
    EXPECT_EQ(tile_stages(7, true).size(), 1U);  // too few for a sample
    const std::vector<TileStage> stages = tile_stages(1000, true);
    ASSERT_EQ(stages.size(), 3U);
    for (const size_t i : {0, 1}) {
        const std::vector<idx_t>& tiles = stages[i].tiles;
        ASSERT_GT(tiles.size(), 10U);
        EXPECT_LT(stages[i].seen, 150);
        idx_t farthest = 0;
        for (size_t j = 1; j < tiles.size(); j++) {
            farthest = std::max(farthest, tiles[j] - tiles[j - 1]);
        }
        EXPECT_LE(farthest, 100);
    }
}

}  // namespace
