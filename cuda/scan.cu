#include <algorithm>

#include "cuda/bound.h"
#include "cuda/filter.h"
#include "cuda/kernel_gather.h"
#include "cuda/launch.h"
#include "cuda/merge.h"

namespace faiss_qbnorm::cuda {

namespace {

/// One scan: a batch of queries against one chunk after another.
class Scan {
  public:
    Scan(Context& context, Metric metric, const CudaTable* table,
         const MatrixView& queries, ScanState& state)
        : context_(context),
          metric_(metric),
          table_(table),
          queries_(queries),
          state_(state) {}

    void run(const Chunk& chunk) {
        const auto work = context_.pool.take();
        const Columns& columns = columns_for(chunk.operand.fp16, *work);
        const float* offsets = row_offsets(*work, chunk);
        const idx_t nq = queries_.rows;
        const idx_t length = std::max(state_.raw.k(), state_.normalised.k());
        if (length > 0) {
            const TileShape shape =
                scan_tile(context_.tiles, nq, chunk.operand.fp16);
            const idx_t step = shortlist_queries(
                context_.tiles, nq, length, offsets ? 2 : 1, shape.columns);
            for (idx_t begin = 0; begin < nq; begin += step) {
                rank(
                    *work, chunk, columns, shape, offsets,
                    {begin, std::min(begin + step, columns.operand.padded_rows),
                     std::min(step, nq - begin)});
            }
        }
        if (!state_.targets.raw.empty()) count_ranks(*work, chunk, columns);
    }

  private:
    const Columns& columns_for(bool fp16, Workspace& work) {
        auto& columns = columns_[fp16];
        if (!columns) {
            columns.emplace(make_columns(
                metric_, queries_, {}, fp16,
                scan_tile(context_.tiles, queries_.rows, fp16).columns,
                work.upload, work.stream()));
        }
        return *columns;
    }

    /// The offsets of the chunk's rows, on the device; nullptr without a table.
    const float* row_offsets(Workspace& work, const Chunk& chunk) {
        if (!table_ || state_.normalised.k() == 0) return nullptr;
        if (!chunk.labels) {
            return table_->offsets.data() + (chunk.first_label - table_->begin);
        }
        idx_t* labels = work.row_labels.reserve(chunk.rows);
        work.upload.copy(labels, chunk.labels,
                         chunk.rows * static_cast<idx_t>(sizeof(idx_t)),
                         work.stream());
        float* gathered = work.row_offsets.reserve(chunk.rows);
        launch(kernel_gather,
               dim3(static_cast<unsigned>(
                   parts(chunk.rows, idx_t{gather_threads}))),
               gather_threads, work.stream(), table_->offsets.data(), labels,
               table_->begin, chunk.rows, gathered);
        return gathered;
    }

    void rank(Workspace& work, const Chunk& chunk, const Columns& columns,
              const TileShape& shape, const float* offsets,
              const Panel& panel) {
        const idx_t length = std::max(state_.raw.k(), state_.normalised.k());
        const idx_t capacity =
            shortlist_capacity(context_.tiles, queries_.rows, length);
        begin(work.raw, state_.raw, 0, chunk, columns, panel, capacity, work);
        if (offsets) {
            begin(work.normalised, state_.normalised, table_->largest_offset,
                  chunk, columns, panel, capacity, work);
        }
        const Filter filter{chunk.operand, columns.operand, panel,  shape,
                            length,        capacity,        offsets};
        filter.all(work,
                   [&](const RowRange& rows) { filter.pass(work, rows); });
        ExactScores exact{metric_, queries_.d,
                          columns.raw.data() + panel.begin * queries_.d,
                          chunk.raw, nullptr};
        merge(context_, work, work.raw, exact,
              {chunk, panel.begin, state_.raw});
        if (!offsets) return;
        exact.offsets = offsets;
        merge(context_, work, work.normalised, exact,
              {chunk, panel.begin, state_.normalised});
    }

    static void begin(Shortlist& shortlist, const TopLists& lists,
                      float largest_offset, const Chunk& chunk,
                      const Columns& columns, const Panel& panel,
                      idx_t capacity, const Workspace& work) {
        const Operand& queries = columns.operand;
        const ScoreBound bound{queries.l2,
                               queries.fp16,
                               queries.d,
                               chunk.operand.largest_norm,
                               chunk.operand.largest_error,
                               queries.largest_norm,
                               largest_offset};
        std::vector<float> errors(panel.queries);
        for (idx_t i = 0; i < panel.queries; i++) {
            errors[i] = bound.of(columns.norms[panel.begin + i],
                                 columns.errors[panel.begin + i]);
        }
        shortlist.begin(thresholds_of(lists, panel.begin, panel.queries),
                        errors, panel.end - panel.begin, lists.k(), capacity,
                        work.stream());
    }

    /// Ranks of the targets, from exact scores of every item: slower than a
    /// search, and nobody waits for an evaluation.
    void count_ranks(Workspace& work, const Chunk& chunk,
                     const Columns& columns) {
        RankTargets& targets = state_.targets;
        std::vector<std::uint32_t> all(queries_.rows);
        for (size_t i = 0; i < all.size(); i++) {
            all[i] = static_cast<std::uint32_t>(i);
        }
        const auto count = [](RankCount& rank, float score, float target) {
            rank.before += score > target;
            rank.level += score == target;
        };
        for_exact_scores(
            context_, work,
            {metric_, queries_.d, columns.raw.data(), chunk.raw, nullptr},
            chunk.rows, all,
            [&](idx_t q, idx_t first, idx_t rows, const float* scores) {
                for (idx_t r = 0; r < rows; r++) {
                    count(targets.raw_rank[q], scores[r], targets.raw[q]);
                    if (!table_) continue;
                    const idx_t item = chunk.label(first + r) - table_->begin;
                    count(targets.normalised_rank[q],
                          scores[r] - table_->column.offsets[item],
                          targets.normalised[q]);
                }
            });
    }

    Context& context_;
    Metric metric_;
    const CudaTable* table_;
    const MatrixView& queries_;
    ScanState& state_;
    std::optional<Columns> columns_[2];  // as float, as half
};

}  // namespace

void cuda_scan(Context& context, const CudaGallery& gallery,
               const CudaTable* table, const MatrixView& queries,
               ScanState& state) {
    const MatrixView& rows = gallery.block.vectors;
    if (rows.rows == 0 || queries.rows == 0) return;
    Scan scan(context, gallery.metric, table, queries, state);
    if (gallery.resident) {
        scan.run(*gallery.resident);
        return;
    }
    const idx_t row_bytes = idx_t{rows.d} * 4;
    ChunkPipeline pipeline(
        context.device,
        std::clamp<idx_t>(context.tiles.chunk_bytes / row_bytes, 1, rows.rows),
        1, rows.d, [&](Chunk& chunk) {
            {
                const auto work = context.pool.take();
                prepare_for_scan(context, chunk, gallery.metric, rows.d,
                                 work->stream());
            }
            scan.run(chunk);
        });
    pipeline.add(gallery.block);
    pipeline.finish();
}

}  // namespace faiss_qbnorm::cuda
