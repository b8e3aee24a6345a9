#include "faiss_qbnorm/faiss/range_flat.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <optional>

#include "faiss_qbnorm/core/formula.h"
#include "faiss_qbnorm/core/parallel_errors.h"
#include "faiss_qbnorm/cpu/tile_scorer.h"

namespace faiss_qbnorm {

namespace {

/// What every tile of a search is made with.
struct Search {
    const SearchPlan& plan;
    const std::vector<bool>& gates;
    float least;
    const faiss::IDSelector* selector;
    float largest_offset;
    MatrixView gallery;
    Queries queries;
};

struct Found {
    idx_t query;
    RangeHit hit;
};

/// One thread's share.
class Worker {
  public:
    explicit Worker(const Search& search)
        : search_(search),
          scorer_(search.queries),
          raw_(search.queries.shape.panel_rows),
          normalised_(raw_.size()) {}

    /// Gallery rows [begin, end).
    void run(idx_t begin, idx_t end) {
        scorer_.load(search_.gallery, begin, end, 0);
        const ProductShape& shape = search_.queries.shape;
        for (idx_t panel = 0; panel < shape.panels(); panel++) {
            const idx_t first = panel * shape.panel_rows;
            const float* scores = scorer_.score(panel);
            set_thresholds(first, shape.width(panel));
            places_.clear();
            simd::select(scores, end - begin, shape.width(panel), raw_.data(),
                         search_.plan.column.offsets.data() + begin,
                         normalised_.data(), places_);
            for (const auto [row, column] : places_) {
                look(first + column, begin + row);
            }
        }
    }

    std::vector<Found> found;

  private:
    // What may be above `least` by the product's error bound is scored
    // exactly; the gate says by which of the two scores.
    void set_thresholds(idx_t first, idx_t width) {
        constexpr float never = std::numeric_limits<float>::infinity();
        for (idx_t i = 0; i < width; i++) {
            const float slack =
                scorer_.error(first + i) +
                0x1p-22F * (search_.largest_offset + std::fabs(search_.least));
            const bool open = search_.gates[first + i];
            raw_[i] = open ? never : search_.least - slack;
            normalised_[i] = open ? search_.least - slack : never;
        }
    }

    void look(idx_t query, idx_t label) {
        const float raw = simd::exact_score(
            search_.plan.metric, search_.queries.rows.row(query),
            search_.gallery.row(label), search_.gallery.d);
        const float score =
            search_.gates[query]
                ? raw - search_.plan.column.offsets.data()[label]
                : raw;
        if (!(score > search_.least)) return;
        if (search_.selector && !search_.selector->is_member(label)) return;
        found.push_back({query, {score, label}});
    }

    const Search& search_;
    TileScorer scorer_;
    std::vector<float> raw_;
    std::vector<float> normalised_;
    std::vector<simd::Place> places_;
};

}  // namespace

std::vector<std::vector<RangeHit>> range_search_flat(
    const MatrixView& gallery, const SearchPlan& plan,
    const MatrixView& queries, const std::vector<bool>& gates, float least,
    const faiss::IDSelector* selector) {
    if (queries.rows == 0 || gallery.rows == 0) {
        return std::vector<std::vector<RangeHit>>(queries.rows);
    }
    // For L2 the first item is a point amid the data.
    const float* center = plan.metric == Metric::l2 ? gallery.data : nullptr;
    const Search search{plan,
                        gates,
                        least,
                        selector,
                        largest_offset(plan.column),
                        gallery,
                        Queries(Scoring{}, plan.metric, queries, center)};
    const idx_t height = search.queries.shape.left_rows;
    const idx_t tiles = (gallery.rows + height - 1) / height;
    std::vector<std::vector<RangeHit>> hits(queries.rows);
    std::mutex lock;
    ParallelErrors errors;
#pragma omp parallel
    {
        std::optional<Worker> worker;
#pragma omp for schedule(dynamic)
        for (idx_t tile = 0; tile < tiles; tile++) {
            errors.run([&] {
                if (!worker) worker.emplace(search);
                worker->run(tile * height,
                            std::min((tile + 1) * height, gallery.rows));
            });
        }
        if (worker) {
            const std::lock_guard guard(lock);
            errors.run([&] {
                for (const Found& one : worker->found) {
                    hits[one.query].push_back(one.hit);
                }
            });
        }
    }
    errors.rethrow();
    // In FAISS's order, whichever thread found them.
    for (auto& of_query : hits) {
        std::sort(
            of_query.begin(), of_query.end(),
            [](const auto& a, const auto& b) { return a.label < b.label; });
    }
    return hits;
}

}  // namespace faiss_qbnorm
