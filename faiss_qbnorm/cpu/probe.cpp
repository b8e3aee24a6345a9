#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "faiss_qbnorm/core/parallel_errors.h"
#include "faiss_qbnorm/cpu/bound.h"
#include "faiss_qbnorm/cpu/settler.h"
#include "faiss_qbnorm/cpu/tile_scorer.h"
#include "faiss_qbnorm/cpu/tile_stages.h"

namespace faiss_qbnorm {

namespace {

/// One thread's share of a probe: whole gallery tiles against the whole bank.
class ProbeWorker {
  public:
    ProbeWorker(const CpuBank& bank, const GalleryBlock& block, float beta,
                Selection& selection)
        : queries_(bank.queries),
          block_(block),
          beta_(std::max(beta, least_beta)),
          scorer_(bank.queries),
          selector_(selection),
          sums_(bank.queries.shape.left_rows),
          shifts_(sums_.size()),
          maxima_(sums_.size()),
          tile_sums_(at_once),
          fine_(sums_.size()) {}

    /// Gallery rows [begin, end) of the block, `place` rows into their tile.
    void run(idx_t begin, idx_t end, idx_t place, float* offsets) {
        const idx_t rows = end - begin;
        scorer_.load(block_.vectors, begin, end, place);
        if (!std::isfinite(scorer_.error())) {
            std::fill(offsets + begin, offsets + end,
                      std::numeric_limits<float>::quiet_NaN());
            return;
        }
        for (idx_t i = 0; i < rows; i++) {
            const float reach = beta_ * scorer_.reach(i);
            fine_[i] = reach > fine_up_to && reach < fine_from ? 0 : 1;
        }
        for (idx_t panel = 0; panel < queries_.shape.panels(); panel++) {
            const float* scores = scorer_.score(panel);
            selector_.begin({scores, rows, begin, panel}, scorer_.bound());
            if (panel == 0) {
                start(scores, rows);
            } else if (may_outgrow(rows)) {
                raise_shifts(scores, rows, queries_.shape.width(panel));
            }
            // Both look at some rows while these are in the first cache.
            for (idx_t i = 0; i < rows; i += at_once) {
                const idx_t last = std::min(i + at_once, rows);
                fold(scores, i, last, queries_.shape.width(panel));
                selector_.look(i, last);
            }
            selector_.end();
        }
        for (idx_t i = 0; i < rows; i++) {
            offsets[begin + i] = static_cast<float>(sums_[i].is_offset(beta_));
        }
    }

  private:
    void start(const float* scores, idx_t rows) {
        simd::row_maxima(scores, rows, queries_.shape.width(0), shifts_.data());
        for (idx_t i = 0; i < rows; i++) sums_[i] = {shifts_[i]};
    }

    // Of rows [first, last) of the tile.
    void fold(const float* scores, idx_t first, idx_t last, idx_t width) {
        simd::exp_sums(scores + first * width, last - first, width, beta_,
                       shifts_.data() + first, fine_.data() + first,
                       tile_sums_.data());
        for (idx_t i = first; i < last; i++) {
            const auto [expm1, exp] = tile_sums_[i - first];
            sums_[i].add(expm1, exp, static_cast<double>(width));
        }
    }

    // Whether a score of the tile may be so far above its row's shift that
    // its exponential is beyond float.
    bool may_outgrow(idx_t rows) const {
        const float longest = queries_.metric == Metric::l2
                                  ? 0
                                  : scorer_.bound().norm * queries_.bound.norm;
        const float highest = longest + scorer_.error();  // rounded, it may be
        const float lowest_shift =
            *std::min_element(shifts_.begin(), shifts_.begin() + rows);
        return beta_ * (highest - lowest_shift) > most_exponent / 2;
    }

    void raise_shifts(const float* scores, idx_t rows, idx_t width) {
        simd::row_maxima(scores, rows, width, maxima_.data());
        for (idx_t i = 0; i < rows; i++) {
            if (beta_ * (maxima_[i] - shifts_[i]) < most_exponent) continue;
            sums_[i].raise_shift(maxima_[i], beta_);
            shifts_[i] = maxima_[i];
        }
    }

    static constexpr idx_t at_once = 32;
    // A float sum of exp is 2e-7 off, so offsets are 2e-7 / beta off: too much
    // where scores are not large beside 1 / beta. Where beta times scores is
    // large a rounding of it is much.
    static constexpr float fine_up_to = 4;
    static constexpr float fine_from = 2000;
    static constexpr float most_exponent = 60;  // e^60: far within float
    // Below, offsets are means to the last digit, and exponents denormal.
    static constexpr float least_beta = 1e-25F;

    const Queries& queries_;
    const GalleryBlock& block_;
    const float beta_;
    TileScorer scorer_;
    Selector selector_;
    std::vector<LogMeanExp> sums_;
    std::vector<float> shifts_;
    std::vector<float> maxima_;
    std::vector<simd::ExpSums> tile_sums_;
    std::vector<std::uint8_t> fine_;
};

// Bank queries whose winners a guess may have missed.
std::vector<idx_t> settle(const Selection& selection, const ExactScores& exact,
                          TopLists& winners) {
    std::vector<std::uint8_t> failed(winners.rows(), 0);
    ParallelErrors errors;
#pragma omp parallel
    {
        Settler settler(exact, nullptr, nullptr);
        const Selection* const one[] = {&selection};
#pragma omp for schedule(dynamic, 16)
        for (idx_t query = 0; query < winners.rows(); query++) {
            errors.run([&] {
                failed[query] = !settler.settle(query, one, winners, nullptr);
            });
        }
    }
    errors.rethrow();
    std::vector<idx_t> again;
    for (idx_t query = 0; query < winners.rows(); query++) {
        if (failed[query]) again.push_back(query);
    }
    return again;
}

// Finds the winners of the failed bank queries, which have none, by a scan.
void scan_for(const std::vector<idx_t>& failed, const CpuBank& bank,
              const GalleryBlock& block, TopLists& winners) {
    std::vector<float> rows;
    for (const idx_t query : failed) {
        rows.insert(rows.end(), bank.bank.row(query), bank.bank.row(query + 1));
    }
    const auto n = static_cast<idx_t>(failed.size());
    ScanState found{TopLists(n, winners.k()), TopLists(n, 0), {}, nullptr};
    cpu_scan(bank.queries.scoring, CpuGallery(bank.metric, block), nullptr,
             {rows.data(), n, bank.bank.d}, found);
    for (idx_t i = 0; i < n; i++) {
        for (const Scored& item : found.raw.items(i)) {
            winners.offer(failed[i], item);
        }
    }
}

}  // namespace

void cpu_probe(const CpuBank& bank, const GalleryBlock& block,
               const Normalization& normalization, float* offsets,
               TopLists& winners) {
    const idx_t rows = block.vectors.rows;
    const idx_t height = bank.queries.shape.left_rows;
    // Tiles begin where the label is a multiple of their height, wherever a
    // block begins.
    const idx_t shift = block.labels ? 0 : block.first_label % height;
    const idx_t tile_count = (shift + rows + height - 1) / height;
    const idx_t panels = bank.queries.shape.panels();
    const ExactScores exact(bank.metric, bank.bank, block, nullptr);
    Selection selection(bank.queries, {0, panels}, {winners, exact}, true);
    const bool may_guess = winners.k() > 0 && winners.empty();
    const std::vector<TileStage> stages = tile_stages(tile_count, may_guess);
    ParallelErrors errors;
#pragma omp parallel
    {
        std::optional<ProbeWorker> worker;
        const auto run = [&](idx_t tile) {
            if (!worker) {
                worker.emplace(bank, block, normalization.beta, selection);
            }
            const idx_t tile_begin = tile * height - shift;
            const idx_t begin = std::max<idx_t>(tile_begin, 0);
            const idx_t end = std::min(tile_begin + height, rows);
            worker->run(begin, end, begin - tile_begin, offsets);
        };
        for (const TileStage& stage : stages) {
#pragma omp single
            selection.aim_at_sample(static_cast<double>(stage.seen) /
                                    static_cast<double>(tile_count));
#pragma omp for schedule(dynamic)
            for (size_t i = 0; i < stage.tiles.size(); i++) {
                errors.run([&] { run(stage.tiles[i]); });
            }
            if (stage.seen == tile_count) continue;
#pragma omp for
            for (idx_t panel = 0; panel < panels; panel++) {
                errors.run([&] { selection.guess({panel, panel + 1}); });
            }
        }
    }
    errors.rethrow();
    const std::vector<idx_t> failed = settle(selection, exact, winners);
    if (!failed.empty()) scan_for(failed, bank, block, winners);
}

}  // namespace faiss_qbnorm
