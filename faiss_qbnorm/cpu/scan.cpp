#include <omp.h>

#include <algorithm>
#include <optional>

#include "faiss_qbnorm/core/parallel_errors.h"
#include "faiss_qbnorm/cpu/bound.h"
#include "faiss_qbnorm/cpu/rank_counts.h"
#include "faiss_qbnorm/cpu/settler.h"
#include "faiss_qbnorm/cpu/tile_scorer.h"
#include "faiss_qbnorm/cpu/tile_stages.h"

namespace faiss_qbnorm {

namespace {

/// What the threads of a scan share.
struct Scan {
    const CpuGallery& gallery;
    const CpuTable* table;
    Queries queries;
    ExactScores raw;
    ExactScores normalised;
    RankCounts raw_ranks;
    RankCounts normalised_ranks;
    ScanState& state;
    bool may_guess;

    Scan(const Scoring& scoring, const CpuGallery& gallery,
         const CpuTable* table, const MatrixView& rows, ScanState& state,
         bool may_guess)
        : gallery(gallery),
          table(table),
          queries(scoring, gallery.metric, rows, gallery.center_or_null()),
          raw(gallery.metric, queries.rows, gallery.block, nullptr),
          normalised(gallery.metric, queries.rows, gallery.block, table),
          raw_ranks(queries, raw, state.targets.raw, state.targets.raw_rank),
          normalised_ranks(queries, normalised, state.targets.normalised,
                           state.targets.normalised_rank),
          state(state),
          may_guess(may_guess) {}

    idx_t tiles() const {
        const idx_t height = queries.shape.left_rows;
        return (gallery.block.vectors.rows + height - 1) / height;
    }
};

/// Some panels of queries against some tiles of the gallery: one thread's, so
/// that its lists need no locks.
struct Task {
    PanelRange panels;
    idx_t first_tile;
    idx_t last_tile;
};

/// Tasks for all threads. Some panels go together and share a gallery tile
/// while it is at hand. Where panels are too few, the gallery is sliced, though
/// each slice begins with all to learn.
std::vector<Task> tasks_of(idx_t panels, idx_t tiles) {
    constexpr idx_t most_together = 8;
    const idx_t threads = omp_get_max_threads();
    const idx_t least = (panels + most_together - 1) / most_together;
    const idx_t groups =
        std::min((least + threads - 1) / threads * threads, panels);
    idx_t slices = 1;
    while (groups * slices % threads != 0 && groups * slices < 4 * threads) {
        slices++;
    }
    slices = std::min(slices, tiles);
    std::vector<Task> tasks;
    for (idx_t slice = 0; slice < slices; slice++) {
        for (idx_t group = 0; group < groups; group++) {
            tasks.push_back(
                {{group * panels / groups, (group + 1) * panels / groups},
                 slice * tiles / slices,
                 (slice + 1) * tiles / slices});
        }
    }
    return tasks;
}

/// One thread's work on one task after another.
class ScanWorker {
  public:
    explicit ScanWorker(Scan& scan) : scan_(scan), scorer_(scan.queries) {}

    Selection run(const Task& task) {
        Selection selection(scan_.queries, task.panels,
                            {scan_.state.raw, scan_.raw}, false);
        if (scan_.table) {
            selection.add_normalised({scan_.state.normalised, scan_.normalised},
                                     scan_.table->largest_offset);
        }
        Selector selector(selection);
        const idx_t tiles = task.last_tile - task.first_tile;
        for (const TileStage& stage : tile_stages(tiles, scan_.may_guess)) {
            const bool is_sample = stage.seen < tiles;
            selection.aim_at_sample(is_sample
                                        ? static_cast<double>(stage.seen) /
                                              static_cast<double>(scan_.tiles())
                                        : 1);
            for (const idx_t tile : stage.tiles) {
                score(task.first_tile + tile, task.panels, selector);
            }
            if (is_sample) selection.guess(task.panels);
        }
        return selection;
    }

  private:
    void score(idx_t tile_at, const PanelRange& panels, Selector& selector) {
        const idx_t height = scan_.queries.shape.left_rows;
        const idx_t begin = tile_at * height;
        const idx_t end =
            std::min(begin + height, scan_.gallery.block.vectors.rows);
        const float* offsets = offsets_of(begin, end);
        const MatrixView& gallery = scan_.gallery.block.vectors;
        if (scan_.queries.few()) {
            const float* scores = scorer_.score_few(gallery, begin, end);
            selector.select_by_query({scores, end - begin, begin, 0},
                                     scorer_.bound(), offsets);
            return;
        }
        scorer_.load(gallery, begin, end, 0);
        for (idx_t panel = panels.first; panel < panels.last; panel++) {
            const ScoredTile tile{scorer_.score(panel), end - begin, begin,
                                  panel};
            selector.begin(tile, scorer_.bound(), offsets);
            selector.look(0, tile.rows);
            selector.end();
            scan_.raw_ranks.count(tile, scorer_.bound(), nullptr, 0);
            if (!offsets) continue;
            scan_.normalised_ranks.count(tile, scorer_.bound(), offsets,
                                         scan_.table->largest_offset);
        }
    }

    // Of rows [begin, end) of the block; null without a table.
    const float* offsets_of(idx_t begin, idx_t end) {
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

    Scan& scan_;
    TileScorer scorer_;
    std::vector<float> gathered_;
};

void scan_block(const Scoring& scoring, const CpuGallery& gallery,
                const CpuTable* table, const MatrixView& queries,
                ScanState& state, bool may_guess);

std::vector<Selection> select(Scan& scan, const std::vector<Task>& tasks) {
    std::vector<std::optional<Selection>> selected(tasks.size());
    ParallelErrors errors;
#pragma omp parallel
    {
        std::optional<ScanWorker> worker;
#pragma omp for schedule(dynamic)
        for (size_t i = 0; i < tasks.size(); i++) {
            errors.run([&] {
                if (!worker) worker.emplace(scan);
                selected[i].emplace(worker->run(tasks[i]));
            });
        }
    }
    errors.rethrow();
    std::vector<Selection> selections;
    selections.reserve(tasks.size());
    for (auto& selection : selected)
        selections.push_back(std::move(*selection));
    return selections;
}

// Gives the queries that a guess failed.
std::vector<idx_t> settle(Scan& scan, const std::vector<Task>& tasks,
                          const std::vector<Selection>& selections) {
    const ProductShape& shape = scan.queries.shape;
    std::vector<std::vector<const Selection*>> of_panel(shape.panels());
    for (size_t i = 0; i < tasks.size(); i++) {
        for (idx_t p = tasks[i].panels.first; p < tasks[i].panels.last; p++) {
            of_panel[p].push_back(&selections[i]);
        }
    }
    std::vector<std::uint8_t> failed(shape.right_rows, 0);
    ScanState& state = scan.state;
    ParallelErrors errors;
#pragma omp parallel
    {
        Settler settler(scan.raw, scan.table ? &scan.normalised : nullptr,
                        scan.table ? state.gate : nullptr);
#pragma omp for schedule(dynamic, 16)
        for (idx_t query = 0; query < shape.right_rows; query++) {
            errors.run([&] {
                failed[query] = !settler.settle(
                    query, of_panel[query / shape.panel_rows], state.raw,
                    scan.table ? &state.normalised : nullptr);
            });
        }
    }
    errors.rethrow();
    std::vector<idx_t> again;
    for (idx_t query = 0; query < shape.right_rows; query++) {
        if (failed[query]) again.push_back(query);
    }
    return again;
}

// Scans again for the queries that a guess failed, without guessing.
void scan_again(Scan& scan, const std::vector<idx_t>& failed) {
    const MatrixView& all = scan.queries.rows;
    std::vector<float> rows;
    for (const idx_t query : failed) {
        rows.insert(rows.end(), all.row(query), all.row(query + 1));
    }
    const auto n = static_cast<idx_t>(failed.size());
    ScanState found{TopLists(n, scan.state.raw.k()),
                    TopLists(n, scan.state.normalised.k()),
                    {},
                    scan.state.gate};
    scan_block(scan.queries.scoring, scan.gallery, scan.table,
               {rows.data(), n, all.d}, found, false);
    for (idx_t i = 0; i < n; i++) {
        for (const Scored& item : found.raw.items(i)) {
            scan.state.raw.offer(failed[i], item);
        }
        if (!scan.table) continue;
        for (const Scored& item : found.normalised.items(i)) {
            scan.state.normalised.offer(failed[i], item);
        }
    }
}

void scan_block(const Scoring& scoring, const CpuGallery& gallery,
                const CpuTable* table, const MatrixView& queries,
                ScanState& state, bool may_guess) {
    Scan scan(scoring, gallery, table, queries, state, may_guess);
    const std::vector<Task> tasks =
        tasks_of(scan.queries.shape.panels(), scan.tiles());
    const std::vector<idx_t> failed = settle(scan, tasks, select(scan, tasks));
    if (!failed.empty()) scan_again(scan, failed);
}

}  // namespace

void cpu_scan(const Scoring& scoring, const CpuGallery& gallery,
              const CpuTable* table, const MatrixView& queries,
              ScanState& state) {
    if (gallery.block.vectors.rows == 0 || queries.rows == 0) return;
    const bool counts = !state.targets.raw.empty();
    const bool few = queries.rows <= few_queries && !counts;
    scan_block(few ? scoring.of_few() : scoring, gallery, table, queries, state,
               state.raw.empty());
}

}  // namespace faiss_qbnorm
