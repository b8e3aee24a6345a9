#include "cuda/filter.h"

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

void Filter::pass(Workspace& work, idx_t stride) const {
    sweep(work, gallery, queries, panel, shape, stride, false,
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

void Filter::sample(Workspace& work, idx_t length, idx_t capacity) const {
    auto strides = sample_strides(gallery.rows, length, capacity);
    strides.pop_back();  // the whole is the caller's
    for (const idx_t stride : strides) {
        pass(work, stride);
        work.raw.raise(work.stream());
        if (row_offsets) work.normalised.raise(work.stream());
    }
}

}  // namespace faiss_qbnorm::cuda
