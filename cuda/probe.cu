#include <algorithm>
#include <limits>

#include "cuda/bound.h"
#include "cuda/filter.h"
#include "cuda/kernel_fold.h"
#include "cuda/launch.h"
#include "cuda/merge.h"

namespace faiss_qbnorm::cuda {

namespace {

class CudaProbe : public Probe {
  public:
    CudaProbe(Context& context, const CudaBank& bank,
              const Normalization& normalization, const ProbeResults& results)
        : context_(context),
          bank_(bank),
          beta_(normalization.beta),
          results_(results),
          pipeline_(context.device, chunk_rows(), bank.shape.rows,
                    bank.columns.operand.d, [this](Chunk& chunk) {
                        const auto work = context_.pool.take();
                        probe(*work, chunk);
                    }) {}

    void add(const GalleryBlock& block) override {
        const DeviceScope scope(context_.device);
        pipeline_.add(block);
    }

    void add(const BoundGallery& gallery) override {
        const DeviceScope scope(context_.device);
        const auto& bound = mine<CudaGallery>(gallery);
        if (!bound.resident) {
            pipeline_.add(bound.block);
            return;
        }
        pipeline_.finish();  // what came before
        const Chunk& all = *bound.resident;
        // Fewer, larger chunks than what is copied: each has its own overhead.
        const idx_t step = 4 * tile_rows_of_a_chunk();
        const auto work = context_.pool.take();
        Chunk& part = work->part;
        for (idx_t begin = 0; begin < all.rows; begin += step) {
            part.rows = std::min(step, all.rows - begin);
            part.raw = all.raw + begin * bank_.columns.operand.d;
            part.first_label = all.first_label + begin;
            part.labels = all.labels ? all.labels + begin : nullptr;
            probe(*work, part);
        }
    }

    void finish() override {
        const DeviceScope scope(context_.device);
        pipeline_.finish();
    }

  private:
    idx_t tile_rows_of_a_chunk() const {
        const idx_t row_bytes = idx_t{bank_.columns.operand.d} * 4;
        const idx_t most = context_.tiles.chunk_bytes / row_bytes;
        return std::max<idx_t>(most / bank_.shape.rows, 1) * bank_.shape.rows;
    }

    idx_t chunk_rows() const {
        const auto all = static_cast<idx_t>(results_.offsets.size());
        return std::clamp<idx_t>(all, 1, tile_rows_of_a_chunk());
    }

    void probe(Workspace& work, Chunk& chunk) {
        const Operand& bank = bank_.columns.operand;
        prepare_chunk(chunk, bank_.metric, bank.d, bank.fp16, bank_.shape.rows,
                      bank_.columns.center.data(), work.stream());
        work.sums.largest.reserve(chunk.rows);
        work.sums.sums.reserve(chunk.rows);
        const idx_t length = results_.winners.k();
        const idx_t step = shortlist_queries(context_.tiles, bank_.rows, length,
                                             1, bank_.shape.columns);
        for (idx_t begin = 0; begin < bank_.rows; begin += step) {
            probe(work, chunk,
                  {begin, std::min(begin + step, bank.padded_rows),
                   std::min(step, bank_.rows - begin)});
        }
        write_offsets(work, chunk);
    }

    /// All rows of the chunk against a panel of the bank.
    void probe(Workspace& work, const Chunk& chunk, const Panel& panel) {
        const Columns& bank = bank_.columns;
        const idx_t length = results_.winners.k();
        if (length == 0) {
            fold(work, chunk, panel, {0, chunk.rows}, false);
            return;
        }
        const idx_t capacity =
            shortlist_capacity(context_.tiles, bank_.rows, length);
        work.raw.begin(
            thresholds_of(results_.winners, panel.begin, panel.queries),
            errors(chunk, panel), panel.end - panel.begin, length, capacity,
            work.stream());
        const Filter filter{chunk.operand, bank.operand, panel,
                            bank_.shape,   length,       capacity};
        filter.all(work, [&](const RowRange& rows) {
            fold(work, chunk, panel, rows, true);
        });
        merge(context_, work, work.raw,
              {bank_.metric, bank.operand.d,
               bank.raw.data() + panel.begin * bank.operand.d, chunk.raw,
               nullptr},
              {chunk, panel.begin, results_.winners});
    }

    std::vector<float> errors(const Chunk& chunk, const Panel& panel) const {
        const Columns& bank = bank_.columns;
        const ScoreBound bound{bank.operand.l2,
                               bank.operand.fp16,
                               bank.operand.d,
                               chunk.operand.largest_norm,
                               chunk.operand.largest_error,
                               bank.operand.largest_norm};
        std::vector<float> result(panel.queries);
        for (idx_t i = 0; i < panel.queries; i++) {
            result[i] = bound.of(bank.norms[panel.begin + i],
                                 bank.errors[panel.begin + i]);
        }
        return result;
    }

    void fold(Workspace& work, const Chunk& chunk, const Panel& panel,
              const RowRange& rows, bool filtered) {
        sweep(work, chunk.operand, bank_.columns.operand, rows, panel,
              bank_.shape, true, [&](const Lane& lane, const Tile& tile) {
                  if (chunk.operand.fp16) {
                      filtered
                          ? start<__half, true>(work, chunk, panel, lane, tile)
                          : start<__half, false>(work, chunk, panel, lane,
                                                 tile);
                  } else {
                      filtered
                          ? start<float, true>(work, chunk, panel, lane, tile)
                          : start<float, false>(work, chunk, panel, lane, tile);
                  }
              });
    }

    template <class Score, bool Filtered>
    void start(const Workspace& work, const Chunk& chunk, const Panel& panel,
               const Lane& lane, const Tile& tile) {
        const Operand& gallery = chunk.operand;
        const Operand& bank = bank_.columns.operand;
        const auto blocks =
            static_cast<unsigned>(parts(tile.rows, idx_t{fold_rows}));
        launch(
            kernel_fold<Score, Filtered>, dim3(blocks), fold_threads,
            lane.stream,
            FoldArguments<Score>{
                static_cast<const Score*>(tile.scores), tile.first, tile.rows,
                tile.columns, tile.queries(panel), gallery.weight.data(),
                gallery.bias.data(), bank.bias.data() + tile.first_column,
                bank.scale, static_cast<float>(beta_ * log2_e),
                tile.first_column == 0, work.sums.largest.data(),
                work.sums.sums.data(),
                Filtered ? work.raw.view().from(tile.first_column - panel.begin)
                         : ShortlistView{}});
    }

    void write_offsets(Workspace& work, const Chunk& chunk) {
        const Operand& bank = bank_.columns.operand;
        // Beyond it ScoreBound is infinite.
        constexpr double most = 8.5e37;
        const double limit =
            bank.l2 ? std::sqrt(most) - bank.largest_norm
                    : most / std::max(double{bank.largest_norm}, 1e-300);
        launch(kernel_offsets,
               dim3(static_cast<unsigned>(
                   parts(chunk.rows, idx_t{offset_threads}))),
               offset_threads, work.stream(),
               OffsetArguments{
                   work.sums.largest.data(), work.sums.sums.data(),
                   chunk.operand.norms.data(), chunk.rows,
                   static_cast<double>(bank_.rows), beta_,
                   static_cast<float>(std::min(
                       limit, double{std::numeric_limits<float>::max()})),
                   work.sums.offsets.reserve(chunk.rows)});
        float* offsets = work.sums.on_host.reserve(chunk.rows);
        to_host(offsets, work.sums.offsets.data(), chunk.rows, work.stream());
        work.stream().wait();
        for (idx_t i = 0; i < chunk.rows; i++) {
            results_.offsets[chunk.label(i) - results_.begin] = offsets[i];
        }
    }

    static constexpr double log2_e = 1.4426950408889634;

    Context& context_;
    const CudaBank& bank_;
    double beta_;
    ProbeResults results_;
    ChunkPipeline pipeline_;  // last: its work uses the rest
};

}  // namespace

std::unique_ptr<Probe> cuda_begin_probe(Context& context, const CudaBank& bank,
                                        const Normalization& normalization,
                                        const ProbeResults& results) {
    return std::make_unique<CudaProbe>(context, bank, normalization, results);
}

}  // namespace faiss_qbnorm::cuda
