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
          work_(context.pool.take()),
          pipeline_(work_->halves, context.device, chunk_rows(),
                    bank.shape.rows, bank.columns.operand.d, [this](Chunk& c) {
                        prepare(c);
                        probe(c);
                    }) {}

    /// A probe that was not finished may have failed.
    ~CudaProbe() override {
        if (!finished_) work_.discard();
    }
    CudaProbe(const CudaProbe&) = delete;
    CudaProbe& operator=(const CudaProbe&) = delete;

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
        const Columns& bank = bank_.columns;
        require(bound.metric == bank_.metric && all.operand.d == bank.operand.d,
                "the gallery and the bank were bound with another metric or "
                "dimension");
        if (all.operand.fp16 == bank.operand.fp16 && !bank.centered) {
            probe(all);
            return;
        }
        // Fewer, larger chunks than what is copied: each has its own overhead.
        const idx_t step = 4 * tile_rows_of_a_chunk();
        Chunk& part = work_->part;
        for (idx_t begin = 0; begin < all.rows; begin += step) {
            part.rows = std::min(step, all.rows - begin);
            part.raw = all.raw + begin * bank.operand.d;
            part.first_label = all.first_label + begin;
            part.labels = all.labels ? all.labels + begin : nullptr;
            prepare(part);
            probe(part);
        }
    }

    void finish() override {
        const DeviceScope scope(context_.device);
        pipeline_.finish();
        finished_ = true;
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

    void prepare(Chunk& chunk) {
        const Columns& bank = bank_.columns;
        prepare_chunk(chunk, bank_.metric, bank.operand.d, bank.operand.fp16,
                      round_up(chunk.rows, bank_.shape.rows),
                      bank.center_or_null(), work_->stream());
    }

    void probe(const Chunk& chunk) {
        work_->sums.largest.reserve(chunk.rows);
        work_->sums.sums.reserve(chunk.rows);
        const idx_t padded = bank_.columns.operand.padded_rows;
        const idx_t step =
            shortlist_queries(context_.tiles, bank_.rows, results_.winners.k(),
                              1, bank_.shape.columns);
        for (idx_t begin = 0; begin < bank_.rows; begin += step) {
            probe(chunk, {begin, std::min(begin + step, padded),
                          std::min(step, bank_.rows - begin)});
        }
        write_offsets(chunk);
    }

    /// All rows of the chunk against a panel of the bank.
    void probe(const Chunk& chunk, const Panel& panel) {
        const Columns& bank = bank_.columns;
        const idx_t length = results_.winners.k();
        if (length == 0) {
            fold(chunk, panel, {0, chunk.rows}, false);
            return;
        }
        const idx_t capacity =
            shortlist_capacity(context_.tiles, bank_.rows, length);
        Shortlist& shortlist = work_->raw;
        shortlist.begin(
            thresholds_of(results_.winners, panel.begin, panel.queries),
            errors(chunk, panel), panel.end - panel.begin, length, capacity,
            work_->stream());
        const Filter filter{chunk.operand, bank.operand, panel,
                            bank_.shape,   length,       capacity};
        filter.all(*work_, [&](const RowRange& rows) {
            fold(chunk, panel, rows, true);
        });
        const ExactScores exact{bank_.metric, bank.operand.d,
                                bank.raw.data() + panel.begin * bank.operand.d,
                                chunk.raw, nullptr};
        const Ranking ranking{chunk, panel.begin, results_.winners};
        shortlist.finish(exact, work_->stream());
        offer_survivors(shortlist.survivors(), ranking);
        offer_all_to_overflowed(context_, *work_, shortlist.survivors(), exact,
                                ranking);
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
            result[i] = bound.of(bank.norm(panel.begin + i),
                                 bank.error(panel.begin + i));
        }
        return result;
    }

    void fold(const Chunk& chunk, const Panel& panel, const RowRange& rows,
              bool filtered) {
        const auto starter =
            chunk.operand.fp16 ? starter_of<__half>(chunk.operand.l2, filtered)
                               : starter_of<float>(chunk.operand.l2, filtered);
        sweep(*work_, chunk.operand, bank_.columns.operand, rows, panel,
              bank_.shape, true, [&](const Lane& lane, const Tile& tile) {
                  (this->*starter)(chunk, panel, lane, tile);
              });
    }

    using Starter = void (CudaProbe::*)(const Chunk&, const Panel&, const Lane&,
                                        const Tile&) const;

    template <class Score>
    static Starter starter_of(bool l2, bool filtered) {
        if (l2) {
            return filtered ? &CudaProbe::start<Score, true, true>
                            : &CudaProbe::start<Score, true, false>;
        }
        return filtered ? &CudaProbe::start<Score, false, true>
                        : &CudaProbe::start<Score, false, false>;
    }

    template <class Score, bool L2, bool Filtered>
    void start(const Chunk& chunk, const Panel& panel, const Lane& lane,
               const Tile& tile) const {
        const Operand& gallery = chunk.operand;
        const Operand& bank = bank_.columns.operand;
        const auto blocks =
            static_cast<unsigned>(parts(tile.rows, idx_t{fold_rows}));
        launch(kernel_fold<Score, L2, Filtered>, dim3(blocks), fold_threads,
               lane.stream,
               FoldArguments<Score>{
                   static_cast<const Score*>(tile.scores), tile.first,
                   tile.rows, tile.columns, tile.queries(panel),
                   gallery.weight.data(), gallery.bias.data(),
                   bank.bias.data() + tile.first_column, bank.scale,
                   static_cast<float>(beta_ * log2_e), tile.first_column == 0,
                   work_->sums.largest.data(), work_->sums.sums.data(),
                   Filtered
                       ? work_->raw.view().from(tile.first_column - panel.begin)
                       : ShortlistView{}});
    }

    void write_offsets(const Chunk& chunk) {
        const Operand& bank = bank_.columns.operand;
        FoldSums& sums = work_->sums;
        // Beyond it ScoreBound is infinite.
        const double limit =
            bank.l2 ? std::sqrt(safe_score) - bank.largest_norm
                    : safe_score / std::max(double{bank.largest_norm}, 1e-300);
        launch(kernel_offsets,
               dim3(static_cast<unsigned>(
                   parts(chunk.rows, idx_t{offset_threads}))),
               offset_threads, work_->stream(),
               OffsetArguments{
                   sums.largest.data(), sums.sums.data(),
                   chunk.operand.norms.data(), chunk.rows,
                   static_cast<double>(bank_.rows), beta_,
                   static_cast<float>(std::min(
                       limit, double{std::numeric_limits<float>::max()})),
                   sums.offsets.reserve(chunk.rows)});
        float* offsets = sums.on_host.reserve(chunk.rows);
        to_host(offsets, sums.offsets.data(), chunk.rows, work_->stream());
        work_->stream().wait();
#pragma omp parallel for
        for (idx_t i = 0; i < chunk.rows; i++) {
            results_.offsets[chunk.label(i) - results_.begin] = offsets[i];
        }
    }

    static constexpr double log2_e = 1.4426950408889634;

    Context& context_;
    const CudaBank& bank_;
    double beta_;
    ProbeResults results_;
    WorkspacePool::Lease work_;
    bool finished_ = false;
    ChunkPipeline pipeline_;  // last: its work uses the rest
};

}  // namespace

std::unique_ptr<Probe> cuda_begin_probe(Context& context, const CudaBank& bank,
                                        const Normalization& normalization,
                                        const ProbeResults& results) {
    return std::make_unique<CudaProbe>(context, bank, normalization, results);
}

}  // namespace faiss_qbnorm::cuda
