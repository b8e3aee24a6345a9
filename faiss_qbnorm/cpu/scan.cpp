#include <omp.h>

#include <algorithm>
#include <optional>

#include "faiss_qbnorm/core/parallel_errors.h"
#include "faiss_qbnorm/cpu/bound.h"
#include "faiss_qbnorm/cpu/rank_counts.h"
#include "faiss_qbnorm/cpu/selection.h"
#include "faiss_qbnorm/cpu/tile_scorer.h"

namespace faiss_qbnorm {

namespace {

/// What the threads of a scan share.
struct Scan {
    const CpuGallery& gallery;
    const CpuTable* table;
    Queries queries;
    ExactScores raw;
    ExactScores normalised;
    Selection selection;
    RankCounts raw_ranks;
    RankCounts normalised_ranks;

    Scan(const Scoring& scoring, const CpuGallery& gallery,
         const CpuTable* table, const MatrixView& rows, ScanState& state)
        : gallery(gallery),
          table(table),
          queries(scoring, gallery.metric, rows, gallery.center_or_null()),
          raw(gallery.metric, queries.rows, gallery.block, nullptr),
          normalised(gallery.metric, queries.rows, gallery.block, table),
          selection(table ? Selection(queries, raw, state.raw, normalised,
                                      state.normalised, table->largest_offset)
                          : Selection(queries, raw, state.raw)),
          raw_ranks(queries, raw, state.targets.raw, state.targets.raw_rank),
          normalised_ranks(queries, normalised, state.targets.normalised,
                           state.targets.normalised_rank) {}
};

/// The offsets of a tile's rows.
class TileOffsets {
  public:
    explicit TileOffsets(const Scan& scan) : scan_(scan) {}

    /// Of rows [begin, end) of the block; null without a table.
    const float* of(idx_t begin, idx_t end) {
        if (!scan_.table) return nullptr;
        const float* offsets = scan_.table->offsets.data();
        const GalleryBlock& block = scan_.gallery.block;
        if (!block.labels) {
            return offsets + block.label(begin) - scan_.table->begin;
        }
        gathered_.resize(end - begin);
        for (idx_t i = begin; i < end; i++) {
            gathered_[i - begin] = offsets[block.label(i) - scan_.table->begin];
        }
        return gathered_.data();
    }

  private:
    const Scan& scan_;
    std::vector<float> gathered_;
};

/// One thread's share of a scan.
class ScanWorker {
  public:
    explicit ScanWorker(Scan& scan)
        : scan_(scan),
          scorer_(scan.queries),
          selector_(scan.selection),
          offsets_(scan) {}

    /// Gallery rows [begin, end) against panels [first, last).
    void run(idx_t begin, idx_t end, idx_t first, idx_t last) {
        scorer_.load(scan_.gallery.block.vectors, begin, end, 0);
        const float* offsets = offsets_.of(begin, end);
        for (idx_t panel = first; panel < last; panel++) {
            const ScoredTile tile{scorer_.score(panel), end - begin, begin,
                                  panel};
            selector_.begin(tile, scorer_.bound(), offsets);
            selector_.look(0, tile.rows);
            selector_.end();
            scan_.raw_ranks.count(tile, scorer_.bound(), nullptr, 0);
            if (!offsets) continue;
            scan_.normalised_ranks.count(tile, scorer_.bound(), offsets,
                                         scan_.table->largest_offset);
        }
    }

  private:
    Scan& scan_;
    TileScorer scorer_;
    Selector selector_;
    TileOffsets offsets_;
};

/// The same for so few queries that reading the gallery is the work.
class FewQueriesWorker {
  public:
    explicit FewQueriesWorker(Scan& scan)
        : scan_(scan),
          scorer_(scan.queries),
          selector_(scan.selection),
          offsets_(scan) {}

    void run(idx_t begin, idx_t end) {
        const float* scores =
            scorer_.score(scan_.gallery.block.vectors, begin, end);
        selector_.select_by_query({scores, end - begin, begin, 0},
                                  scorer_.bound(), offsets_.of(begin, end));
    }

  private:
    Scan& scan_;
    FewQueriesScorer scorer_;
    Selector selector_;
    TileOffsets offsets_;
};

/// Calls run(worker, task) for every task, each thread with a Worker of its
/// own.
template <class Worker, class Run>
void for_each_task(Scan& scan, idx_t tasks, Run run) {
    ParallelErrors errors;
#pragma omp parallel
    {
        std::optional<Worker> worker;
#pragma omp for schedule(dynamic)
        for (idx_t task = 0; task < tasks; task++) {
            errors.run([&] {
                if (!worker) worker.emplace(scan);
                run(*worker, task);
            });
        }
    }
    errors.rethrow();
}

}  // namespace

void cpu_scan(const Scoring& scoring, const CpuGallery& gallery,
              const CpuTable* table, const MatrixView& queries,
              ScanState& state) {
    const idx_t rows = gallery.block.vectors.rows;
    if (rows == 0 || queries.rows == 0) return;
    const bool counts = !state.targets.raw.empty();
    const bool few = queries.rows <= few_queries && !counts;
    Scan scan(few ? scoring.of_few() : scoring, gallery, table, queries, state);
    const idx_t height = scan.queries.shape.left_rows;
    const idx_t tiles = (rows + height - 1) / height;
    if (few) {
        for_each_task<FewQueriesWorker>(
            scan, tiles, [&](FewQueriesWorker& worker, idx_t tile) {
                worker.run(tile * height, std::min((tile + 1) * height, rows));
            });
    } else {
        // A task is a gallery tile against all panels; where that leaves
        // threads idle (a small gallery), against some.
        const idx_t panels = scan.queries.shape.panels();
        const idx_t groups =
            std::clamp<idx_t>(4 * omp_get_max_threads() / tiles, 1, panels);
        for_each_task<ScanWorker>(
            scan, tiles * groups, [&](ScanWorker& worker, idx_t task) {
                const idx_t tile = task / groups;
                const idx_t group = task % groups;
                worker.run(tile * height, std::min((tile + 1) * height, rows),
                           group * panels / groups,
                           (group + 1) * panels / groups);
            });
    }
    scan.selection.finish(state.raw, table ? &state.normalised : nullptr);
}

}  // namespace faiss_qbnorm
