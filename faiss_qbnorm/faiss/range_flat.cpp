#include "faiss_qbnorm/faiss/range_flat.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "faiss_qbnorm/core/formula.h"
#include "faiss_qbnorm/core/parallel_errors.h"
#include "faiss_qbnorm/cpu/score_tile.h"
#include "faiss_qbnorm/cpu/survivors.h"
#include "faiss_qbnorm/cpu/tiles.h"

namespace faiss_qbnorm {

namespace {

/// What every tile of a search is made with.
struct Search {
    const SearchPlan& plan;
    const std::vector<bool>& gates;
    float least;
    const faiss::IDSelector* selector;
    float largest_offset;
    ScoredRows gallery;
    ScoredRows queries;
};

struct Found {
    idx_t query;
    RangeHit hit;
};

// What may be above `least` by the product's error bound is scored exactly.
void search_tile(const Search& search, idx_t first, idx_t last, idx_t begin,
                 idx_t end, std::vector<float>& tile,
                 std::vector<Found>& found) {
    const Metric metric = search.plan.metric;
    const MatrixView& items = search.gallery.rows;
    const float* offsets = search.plan.column.offsets.data();
    const idx_t columns = end - begin;
    score_tile(metric, search.queries.rows.row(first),
               search.queries.squares.data() + first, last - first,
               items.row(begin), search.gallery.squares.data() + begin, columns,
               items.d, tile.data());
    const float norm = search.gallery.max_norm(begin, end);
    for (idx_t q = first; q < last; q++) {
        const float* scores = tile.data() + (q - first) * columns;
        const bool open = search.gates[q];
        const auto offset = [&](idx_t j) {
            return open ? offsets[begin + j] : 0;
        };
        const float slack =
            score_error(metric, items.d, search.queries.norms[q], norm) +
            0x1p-22F * (search.largest_offset + std::fabs(search.least));
        const float threshold = search.least - slack;
        for_each_survivor(
            columns,
            [&](idx_t j) { return !(scores[j] - offset(j) < threshold); },
            [&](idx_t j) {
                const idx_t label = begin + j;
                const float score =
                    exact_score(metric, search.queries.rows.row(q),
                                items.row(label), items.d) -
                    offset(j);
                if (!(score > search.least)) return;
                if (search.selector && !search.selector->is_member(label)) {
                    return;
                }
                found.push_back({q, {score, label}});
            });
    }
}

}  // namespace

std::vector<std::vector<RangeHit>> range_search_flat(
    const MatrixView& gallery, const SearchPlan& plan,
    const MatrixView& queries, const std::vector<bool>& gates, float least,
    const faiss::IDSelector* selector) {
    const Search search{plan,
                        gates,
                        least,
                        selector,
                        largest_offset(plan.column),
                        ScoredRows(gallery),
                        ScoredRows(queries)};
    const CpuTiles tiles;
    const idx_t query_tiles =
        (queries.rows + tiles.scan_queries - 1) / tiles.scan_queries;
    const idx_t gallery_tiles =
        (gallery.rows + tiles.scan_gallery - 1) / tiles.scan_gallery;
    std::vector<std::vector<RangeHit>> hits(queries.rows);
    std::mutex lock;
    ParallelErrors errors;
#pragma omp parallel
    {
        std::vector<float> tile;
        std::vector<Found> found;
#pragma omp for schedule(dynamic)
        for (idx_t task = 0; task < query_tiles * gallery_tiles; task++) {
            errors.run([&] {
                tile.resize(tiles.scan_queries * tiles.scan_gallery);
                const idx_t first = task / gallery_tiles * tiles.scan_queries;
                const idx_t begin = task % gallery_tiles * tiles.scan_gallery;
                search_tile(search, first,
                            std::min(first + tiles.scan_queries, queries.rows),
                            begin,
                            std::min(begin + tiles.scan_gallery, gallery.rows),
                            tile, found);
            });
        }
        const std::lock_guard guard(lock);
        errors.run([&] {
            for (const Found& one : found) hits[one.query].push_back(one.hit);
        });
    }
    errors.rethrow();
    return hits;
}

}  // namespace faiss_qbnorm
