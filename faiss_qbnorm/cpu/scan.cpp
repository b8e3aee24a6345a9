#include <omp.h>

#include <algorithm>
#include <mutex>
#include <optional>

#include "faiss_qbnorm/core/parallel_errors.h"
#include "faiss_qbnorm/cpu/bound.h"
#include "faiss_qbnorm/cpu/survivors.h"

namespace faiss_qbnorm {

namespace {

/// One ranking (raw or normalised) of one task's queries over its share of
/// the gallery.
struct Ranking {
    TopLists& all;
    std::vector<float>& target_scores;
    std::vector<RankCount>& target_ranks;

    TopLists mine;
    std::vector<float> known;  // thresholds of `all` when the task began
    std::vector<RankCount> counts;

    Ranking(TopLists& all, std::vector<float>& target_scores,
            std::vector<RankCount>& target_ranks)
        : all(all), target_scores(target_scores), target_ranks(target_ranks) {}

    bool counts_ranks() const { return !target_scores.empty(); }

    // begin and end bracket a task; both under its query tile's lock.
    void begin(idx_t first, idx_t queries) {
        mine = TopLists(queries, all.k());
        known.resize(queries);
        for (idx_t i = 0; i < queries; i++) known[i] = all.threshold(first + i);
        counts.assign(counts_ranks() ? queries : 0, {});
    }

    void end(idx_t first) {
        for (idx_t i = 0; i < mine.rows(); i++) {
            for (const Scored& item : mine.items(i)) all.offer(first + i, item);
        }
        for (size_t i = 0; i < counts.size(); i++) {
            target_ranks[first + i].before += counts[i].before;
            target_ranks[first + i].level += counts[i].level;
        }
    }
};

/// One thread's share of a scan.
class ScanWorker {
  public:
    ScanWorker(const CpuTiles& tiles, const CpuGallery& gallery,
               const CpuTable* table, const ScoredRows& queries,
               ScanState& state)
        : tiles_(tiles),
          gallery_(gallery),
          table_(table),
          queries_(queries),
          scores_(tiles.scan_queries * tiles.scan_gallery),
          offsets_(tiles.scan_gallery),
          differences_(tiles.scan_gallery),
          raw_(state.raw, state.targets.raw, state.targets.raw_rank),
          normalised_(state.normalised, state.targets.normalised,
                      state.targets.normalised_rank) {}

    /// Queries [first, last) against gallery rows [begin, end).
    void run(idx_t first, idx_t last, idx_t begin, idx_t end,
             std::mutex& lock) {
        {
            const std::lock_guard guard(lock);
            raw_.begin(first, last - first);
            normalised_.begin(first, last - first);
        }
        for (idx_t g = begin; g < end; g += tiles_.scan_gallery) {
            scan_tile(first, last, g, std::min(g + tiles_.scan_gallery, end));
        }
        const std::lock_guard guard(lock);
        raw_.end(first);
        normalised_.end(first);
    }

  private:
    void scan_tile(idx_t first, idx_t last, idx_t g, idx_t g_end) {
        const idx_t columns = g_end - g;
        const MatrixView& rows = gallery_.rows.rows;
        score_tile(gallery_.metric, queries_.rows.row(first),
                   queries_.squares.data() + first, last - first, rows.row(g),
                   gallery_.rows.squares.data() + g, columns, rows.d,
                   scores_.data());
        if (table_) gather_offsets(g, columns);
        const float gallery_norm = gallery_.rows.max_norm(g, g_end);
        for (idx_t q = first; q < last; q++) {
            const float* scores = scores_.data() + (q - first) * columns;
            const float error = score_error(gallery_.metric, rows.d,
                                            queries_.norms[q], gallery_norm);
            const auto exact = [&](idx_t j) {
                return exact_score(gallery_.metric, queries_.rows.row(q),
                                   rows.row(g + j), rows.d);
            };
            rank(raw_, q, q - first, scores, columns, g, error, exact);
            if (!table_) continue;
            for (idx_t j = 0; j < columns; j++) {
                differences_[j] = scores[j] - offsets_[j];
            }
            // The subtraction rounds too: the error of s is far above one
            // rounding of s, the offset's share is added here.
            rank(normalised_, q, q - first, differences_.data(), columns, g,
                 error + 0x1p-22F * table_->largest_offset,
                 [&](idx_t j) { return exact(j) - offsets_[j]; });
        }
    }

    void gather_offsets(idx_t g, idx_t columns) {
        const float* offsets = table_->column.offsets.data();
        for (idx_t j = 0; j < columns; j++) {
            offsets_[j] = offsets[gallery_.block.label(g + j) - table_->begin];
        }
    }

    // Offers to `ranking` what may belong to it by `error`, scored exactly,
    // and counts the items that rank before and level with a target.
    template <class Exact>
    void rank(Ranking& ranking, idx_t q, idx_t i, const float* values,
              idx_t columns, idx_t g, float error, Exact exact) {
        const idx_t k = ranking.mine.k();
        if (k > 0) {
            float bound = std::max(ranking.known[i], ranking.mine.threshold(i));
            if (bound == -std::numeric_limits<float>::infinity() &&
                columns >= k) {
                // k items of this tile alone score at least this much.
                column_.assign(values, values + columns);
                bound = kth_largest(column_, k) - error;
            }
            const float threshold = bound - error;
            for_each_survivor(
                columns, [&](idx_t j) { return !(values[j] < threshold); },
                [&](idx_t j) {
                    ranking.mine.offer(i,
                                       {exact(j), gallery_.block.label(g + j)});
                });
        }
        if (!ranking.counts_ranks()) return;
        const float target = ranking.target_scores[q];
        const float high = target + error;
        const float low = target - error;
        RankCount& count = ranking.counts[i];
        idx_t above = 0;
        for (idx_t j = 0; j < columns; j++) above += values[j] > high;
        count.before += above;
        for_each_survivor(
            columns,
            [&](idx_t j) { return !(values[j] < low) & !(values[j] > high); },
            [&](idx_t j) {
                const float score = exact(j);
                count.before += score > target;
                count.level += score == target;
            });
    }

    const CpuTiles& tiles_;
    const CpuGallery& gallery_;
    const CpuTable* table_;
    const ScoredRows& queries_;
    std::vector<float> scores_;
    std::vector<float> offsets_;
    std::vector<float> differences_;
    std::vector<float> column_;
    Ranking raw_;
    Ranking normalised_;
};

}  // namespace

void cpu_scan(const CpuTiles& tiles, const CpuGallery& gallery,
              const CpuTable* table, const ScoredRows& queries,
              ScanState& state) {
    const idx_t rows = gallery.rows.rows.rows;
    const idx_t nq = queries.rows.rows;
    if (rows == 0 || nq == 0) return;
    // A task is a tile of queries against the block; where that leaves threads
    // idle (few queries), against a slice of it.
    const idx_t query_tiles =
        (nq + tiles.scan_queries - 1) / tiles.scan_queries;
    const idx_t threads = omp_get_max_threads();
    const idx_t slices = (threads + query_tiles - 1) / query_tiles;
    const idx_t slice_rows = (rows + slices - 1) / slices;
    std::vector<std::mutex> locks(query_tiles);
    ParallelErrors errors;
#pragma omp parallel
    {
        std::optional<ScanWorker> worker;
#pragma omp for schedule(dynamic)
        for (idx_t task = 0; task < query_tiles * slices; task++) {
            errors.run([&] {
                if (!worker)
                    worker.emplace(tiles, gallery, table, queries, state);
                const idx_t tile = task / slices;
                const idx_t first = tile * tiles.scan_queries;
                const idx_t begin = task % slices * slice_rows;
                worker->run(first, std::min(first + tiles.scan_queries, nq),
                            begin, std::min(begin + slice_rows, rows),
                            locks[tile]);
            });
        }
    }
    errors.rethrow();
}

}  // namespace faiss_qbnorm
