#include "faiss_qbnorm/tune/tile.h"

#include <algorithm>
#include <limits>

#include "faiss_qbnorm/cpu/simd.h"

namespace faiss_qbnorm {

void Tile::read(const Similarities& similarities, idx_t begin, idx_t end) {
    items = end - begin;
    columns = similarities.rows();
    scores.resize(items * columns);
    similarities.read(begin, end, scores.data());
}

void offer(const Tile& tile, idx_t first_label, const float* offsets,
           TopLists& lists) {
    constexpr idx_t at_once = 64;  // items, before thresholds rise
    const std::vector<float> never(tile.columns,
                                   std::numeric_limits<float>::infinity());
    std::vector<float> thresholds(tile.columns);
    std::vector<simd::Place> places;
    for (idx_t i = 0; i < tile.items; i += at_once) {
        for (idx_t c = 0; c < tile.columns; c++) {
            thresholds[c] = lists.threshold(c);
        }
        const idx_t items = std::min(at_once, tile.items - i);
        places.clear();
        if (offsets) {
            simd::select(tile.item(i), items, tile.columns, never.data(),
                         offsets + i, thresholds.data(), places);
        } else {
            simd::select(tile.item(i), items, tile.columns, thresholds.data(),
                         nullptr, nullptr, places);
        }
        for (const simd::Place& place : places) {
            const idx_t item = i + place.row;
            const float s = tile.item(item)[place.column];
            lists.offer(place.column,
                        {offsets ? s - offsets[item] : s, first_label + item});
        }
    }
}

}  // namespace faiss_qbnorm
