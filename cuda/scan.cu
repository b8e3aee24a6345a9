#include <algorithm>
#include <future>
#include <numeric>

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
    Scan(Context& context, Workspace& work, Metric metric,
         const CudaTable* table, const MatrixView& queries, ScanState& state)
        : context_(context),
          work_(work),
          metric_(metric),
          table_(table),
          queries_(queries),
          state_(state) {}

    void run(const Chunk& chunk) {
        const idx_t nq = queries_.rows;
        const bool fp16 = chunk.operand.fp16;
        const TileShape shape = scan_tile(context_.tiles, nq, fp16);
        if (!filled_ || work_.columns.operand.fp16 != fp16) {
            fill(work_.columns, metric_, queries_, {}, fp16, shape.columns,
                 work_.upload, work_.stream());
            filled_ = true;
        }
        const float* offsets = row_offsets(chunk);
        const idx_t length = std::max(state_.raw.k(), state_.normalised.k());
        if (length > 0) {
            const idx_t step = shortlist_queries(
                context_.tiles, nq, length, offsets ? 2 : 1, shape.columns);
            const idx_t padded = work_.columns.operand.padded_rows;
            for (idx_t begin = 0; begin < nq; begin += step) {
                rank(chunk, shape, offsets,
                     {begin, std::min(begin + step, padded),
                      std::min(step, nq - begin)});
            }
        }
        if (!state_.targets.raw.empty() || !state_.targets.normalised.empty()) {
            count_ranks(chunk);
        }
    }

  private:
    /// The offsets of the chunk's rows, on the device; nullptr without a table.
    const float* row_offsets(const Chunk& chunk) {
        if (!table_ || state_.normalised.k() == 0) return nullptr;
        if (!chunk.labels) {
            return table_->offsets.data() + (chunk.first_label - table_->begin);
        }
        idx_t* labels = work_.row_labels.reserve(chunk.rows);
        work_.upload.copy(labels, chunk.labels,
                          chunk.rows * static_cast<idx_t>(sizeof(idx_t)),
                          work_.stream());
        float* gathered = work_.row_offsets.reserve(chunk.rows);
        launch(kernel_gather,
               dim3(static_cast<unsigned>(
                   parts(chunk.rows, idx_t{gather_threads}))),
               gather_threads, work_.stream(), table_->offsets.data(), labels,
               table_->begin, chunk.rows, gathered);
        return gathered;
    }

    void rank(const Chunk& chunk, const TileShape& shape, const float* offsets,
              const Panel& panel) {
        const Columns& columns = work_.columns;
        const idx_t length = std::max(state_.raw.k(), state_.normalised.k());
        const idx_t capacity =
            shortlist_capacity(context_.tiles, queries_.rows, length);
        begin(work_.raw, state_.raw, 0, chunk, panel, capacity);
        if (offsets) {
            begin(work_.normalised, state_.normalised, table_->largest_offset,
                  chunk, panel, capacity);
        }
        const Filter filter{chunk.operand, columns.operand, panel,  shape,
                            length,        capacity,        offsets};
        filter.all(work_,
                   [&](const RowRange& rows) { filter.pass(work_, rows); });

        ExactScores exact = exact_scores_of(chunk, panel.begin);
        const ExactScores raw_exact = exact;
        exact.offsets = offsets;
        const Ranking raw{chunk, panel.begin, state_.raw};
        const Ranking normalised{chunk, panel.begin, state_.normalised};
        const Survivors& raw_found = work_.raw.survivors();
        const Survivors& found = work_.normalised.survivors();
        work_.raw.finish(raw_exact, work_.stream());
        // The host merges one ranking while the device finishes the other.
        auto merging = std::async(std::launch::async,
                                  [&] { offer_survivors(raw_found, raw); });
        if (offsets) work_.normalised.finish(exact, work_.stream());
        merging.get();
        offer_all_to_overflowed(context_, work_, raw_found, raw_exact, raw);
        if (!offsets) return;
        offer_survivors(found, normalised);
        offer_all_to_overflowed(context_, work_, found, exact, normalised);
    }

    void begin(Shortlist& shortlist, const TopLists& lists,
               float largest_offset, const Chunk& chunk, const Panel& panel,
               idx_t capacity) const {
        const Columns& columns = work_.columns;
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
            errors[i] = bound.of(columns.norm(panel.begin + i),
                                 columns.error(panel.begin + i));
        }
        shortlist.begin(thresholds_of(lists, panel.begin, panel.queries),
                        errors, panel.end - panel.begin, lists.k(), capacity,
                        work_.stream());
    }

    ExactScores exact_scores_of(const Chunk& chunk, idx_t first_query) const {
        return {metric_, queries_.d,
                work_.columns.raw.data() + first_query * queries_.d, chunk.raw,
                nullptr};
    }

    /// Ranks of the targets, from exact scores of every item: slower than a
    /// search, and nobody waits for an evaluation.
    void count_ranks(const Chunk& chunk) {
        RankTargets& targets = state_.targets;
        std::vector<std::uint32_t> all(queries_.rows);
        std::iota(all.begin(), all.end(), 0U);
        const auto count = [](RankCount& rank, float score, float target) {
            rank.before += score > target;
            rank.level += score == target;
        };
        const bool normalised = table_ && !targets.normalised.empty();
        for_exact_scores(
            context_, work_, exact_scores_of(chunk, 0), chunk.rows, all,
            [&](idx_t q, idx_t first, idx_t rows, const float* scores) {
                for (idx_t r = 0; r < rows; r++) {
                    if (!targets.raw.empty()) {
                        count(targets.raw_rank[q], scores[r], targets.raw[q]);
                    }
                    if (!normalised) continue;
                    const idx_t item = chunk.label(first + r) - table_->begin;
                    count(targets.normalised_rank[q],
                          scores[r] - table_->column.offsets[item],
                          targets.normalised[q]);
                }
            });
    }

    Context& context_;
    Workspace& work_;
    Metric metric_;
    const CudaTable* table_;
    const MatrixView& queries_;
    ScanState& state_;
    bool filled_ = false;  // the workspace's columns, with the queries
};

}  // namespace

void cuda_scan(Context& context, const CudaGallery& gallery,
               const CudaTable* table, const MatrixView& queries,
               ScanState& state) {
    const MatrixView& rows = gallery.block.vectors;
    if (rows.rows == 0 || queries.rows == 0) return;
    const auto work = context.pool.take();
    Scan scan(context, *work, gallery.metric, table, queries, state);
    if (gallery.resident) {
        scan.run(*gallery.resident);
        return;
    }
    const idx_t row_bytes = idx_t{rows.d} * 4;
    ChunkPipeline pipeline(
        work->halves, context.device,
        std::clamp<idx_t>(context.tiles.chunk_bytes / row_bytes, 1, rows.rows),
        1, rows.d, [&](Chunk& chunk) {
            prepare_for_scan(context, chunk, gallery.metric, rows.d, chunk.rows,
                             work->stream());
            scan.run(chunk);
        });
    pipeline.add(gallery.block);
    pipeline.finish();
}

}  // namespace faiss_qbnorm::cuda
