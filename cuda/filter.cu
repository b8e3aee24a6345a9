#include "cuda/filter.h"

#include <algorithm>

#include "cuda/kernel_filter.h"
#include "cuda/launch.h"

namespace faiss_qbnorm::cuda {

namespace {

template <class Score, bool Normalised>
void start(const Filter& filter, Workspace& work, const Lane& lane,
           const Tile& tile) {
    const idx_t column = tile.first_column - filter.panel.begin;
    int groups = 1;
    while (groups < 32 && groups * vector_size < tile.columns) groups *= 2;
    const idx_t rows = idx_t{filter_threads / groups} * filter_rows;
    const dim3 grid(
        static_cast<unsigned>(parts(tile.columns, groups * vector_size)),
        static_cast<unsigned>(parts(tile.rows, rows)));
    launch(
        kernel_filter<Score, Normalised>, grid, filter_threads, lane.stream,
        FilterArguments<Score>{
            static_cast<const Score*>(tile.scores), tile.first, tile.rows,
            tile.stride, tile.columns, tile.queries(filter.panel),
            filter.gallery.weight.data(), filter.gallery.bias.data(),
            filter.queries.bias.data() + tile.first_column,
            filter.queries.scale, filter.row_offsets,
            work.raw.view().from(column),
            Normalised ? work.normalised.view().from(column) : ShortlistView{},
            groups});
}

}  // namespace

void Filter::pass(Workspace& work, const RowRange& range) const {
    sweep(work, gallery, queries, range, panel, shape, false,
          [&](const Lane& lane, const Tile& tile) {
              if (gallery.fp16) {
                  row_offsets ? start<__half, true>(*this, work, lane, tile)
                              : start<__half, false>(*this, work, lane, tile);
              } else {
                  row_offsets ? start<float, true>(*this, work, lane, tile)
                              : start<float, false>(*this, work, lane, tile);
              }
          });
}

void Filter::all(Workspace& work,
                 const std::function<void(const RowRange&)>& visit) const {
    for (const idx_t stride : sample_strides(gallery.rows, length, capacity)) {
        pass(work, {0, gallery.rows, stride});
        raise(work, true);
    }
    idx_t begin = 0;
    for (const idx_t planned : pass_ends(gallery.rows, length, capacity)) {
        // Whole tiles, but for the last.
        const idx_t end = std::min(round_up(planned, shape.rows), gallery.rows);
        if (end == begin) continue;
        visit({begin, end});
        if (end < gallery.rows) raise(work, false);
        begin = end;
    }
}

void Filter::raise(Workspace& work, bool is_sample) const {
    work.raw.raise(is_sample, work.stream());
    if (row_offsets) work.normalised.raise(is_sample, work.stream());
}

}  // namespace faiss_qbnorm::cuda
