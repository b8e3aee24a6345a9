#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <optional>

#include "faiss_qbnorm/core/parallel_errors.h"
#include "faiss_qbnorm/cpu/bound.h"
#include "faiss_qbnorm/cpu/survivors.h"

namespace faiss_qbnorm {

namespace {

/// One thread's share of a probe: whole gallery tiles against the whole bank.
class ProbeWorker {
  public:
    ProbeWorker(const CpuTiles& tiles, const CpuBank& bank,
                const GalleryBlock& block, const Normalization& normalization,
                std::vector<std::mutex>& bank_tile_locks, TopLists& winners)
        : tiles_(tiles),
          bank_(bank),
          block_(block),
          beta_(normalization.beta),
          bank_tile_locks_(bank_tile_locks),
          winners_(winners),
          padded_(tiles.probe_gallery * bank.bank.d),
          padded_squares_(tiles.probe_gallery),
          scores_(tiles.probe_gallery * tiles.probe_bank),
          sums_(tiles.probe_gallery) {}

    /// Gallery rows [begin, end) of the block, `place` rows into their tile.
    void run(idx_t begin, idx_t end, idx_t place, float* offsets) {
        load(begin, end, place);
        if (may_overflow()) {
            std::fill(offsets + begin, offsets + end,
                      std::numeric_limits<float>::quiet_NaN());
            return;
        }
        std::fill(sums_.begin(), sums_.end(), LogMeanExp{});
        const idx_t bank_rows = bank_.rows.rows.rows;
        for (idx_t b = 0; b < bank_rows; b += tiles_.probe_bank) {
            const idx_t b_end = std::min(b + tiles_.probe_bank, bank_rows);
            score(b, b_end);
            fold(end - begin, place, b_end - b);
            select(begin, end, place, b, b_end);
        }
        for (idx_t i = begin; i < end; i++) {
            offsets[i] =
                static_cast<float>(sums_[place + i - begin].is_offset(beta_));
        }
    }

  private:
    // The product always has the tile's full shape, and an item its own row in
    // it: BLAS may sum in another order elsewhere, and offsets would differ in
    // their last bits between one fit and a fit in parts.
    void load(idx_t begin, idx_t end, idx_t place) {
        const int d = bank_.bank.d;
        std::fill(padded_.begin(), padded_.end(), 0.0F);
        std::fill(padded_squares_.begin(), padded_squares_.end(), 0.0F);
        double most = 0;
        for (idx_t i = begin; i < end; i++) {
            const float* row = block_.vectors.row(i);
            float* padded = padded_.data() + (place + i - begin) * d;
            double squares = 0;
            for (int j = 0; j < d; j++) {
                padded[j] = row[j] - bank_.center[j];
                squares += double{padded[j]} * padded[j];
            }
            padded_squares_[place + i - begin] = static_cast<float>(squares);
            most = std::max(most, squares);
        }
        gallery_norm_ = static_cast<float>(std::sqrt(most) * (1 + 1e-6));
    }

    bool may_overflow() const {
        return !std::isfinite(score_error(bank_.metric, bank_.bank.d,
                                          bank_.max_norm, gallery_norm_));
    }

    void score(idx_t b, idx_t b_end) {
        score_tile(bank_.metric, padded_.data(), padded_squares_.data(),
                   tiles_.probe_gallery, bank_.rows.rows.row(b),
                   bank_.rows.squares.data() + b, b_end - b, bank_.rows.rows.d,
                   scores_.data());
    }

    void fold(idx_t rows, idx_t place, idx_t columns) {
        for (idx_t i = place; i < place + rows; i++) {
            const float* row = scores_.data() + i * columns;
            float max = row[0];
            for (idx_t j = 1; j < columns; j++) max = std::max(max, row[j]);
            // Eight sums, for the vector unit and in one fixed order.
            constexpr int lanes = 8;
            double sums[lanes] = {};
            idx_t j = 0;
            for (; j + lanes <= columns; j += lanes) {
                for (int lane = 0; lane < lanes; lane++) {
                    sums[lane] += expm1_nonpositive(
                        beta_ * (double{row[j + lane]} - max));
                }
            }
            for (; j < columns; j++) {
                sums[0] += expm1_nonpositive(beta_ * (double{row[j]} - max));
            }
            double tile_sum = 0;
            for (const double sum : sums) tile_sum += sum;
            sums_[i].merge({max, tile_sum, static_cast<double>(columns)},
                           beta_);
        }
    }

    // Each bank query's winners: whatever may belong to them by the product's
    // error bound is scored exactly.
    void select(idx_t begin, idx_t end, idx_t place, idx_t b, idx_t b_end) {
        const idx_t columns = b_end - b;
        std::mutex& lock = bank_tile_locks_[b / tiles_.probe_bank];
        set_thresholds(begin, end, place, b, b_end, lock);
        survivors_.clear();
        for (idx_t i = begin; i < end; i++) {
            const float* row = scores_.data() + (place + i - begin) * columns;
            for_each_survivor(
                columns, [&](idx_t j) { return !(row[j] < thresholds_[j]); },
                [&](idx_t j) {
                    const float exact =
                        exact_score(bank_.metric, bank_.bank.row(b + j),
                                    block_.vectors.row(i), bank_.bank.d);
                    survivors_.push_back({b + j, {exact, block_.label(i)}});
                });
        }
        const std::lock_guard guard(lock);
        for (const auto& [query, item] : survivors_) {
            winners_.offer(query, item);
        }
    }

    void set_thresholds(idx_t begin, idx_t end, idx_t place, idx_t b,
                        idx_t b_end, std::mutex& lock) {
        const idx_t columns = b_end - b;
        const idx_t k = winners_.k();
        thresholds_.resize(columns);
        std::vector<bool> full(columns);
        {
            const std::lock_guard guard(lock);
            for (idx_t j = 0; j < columns; j++) {
                full[j] = winners_.full(b + j);
                thresholds_[j] = winners_.threshold(b + j);
            }
        }
        for (idx_t j = 0; j < columns; j++) {
            const float error =
                score_error(bank_.metric, bank_.rows.rows.d,
                            bank_.rows.norms[b + j], gallery_norm_);
            if (full[j]) {
                thresholds_[j] -= error;
            } else if (end - begin >= k) {
                // k items of this tile alone score at least this much.
                column_.clear();
                for (idx_t i = place; i < place + end - begin; i++) {
                    column_.push_back(scores_[i * columns + j]);
                }
                thresholds_[j] = kth_largest(column_, k) - 2 * error;
            }
        }
    }

    struct Survivor {
        idx_t query;
        Scored item;
    };

    const CpuTiles& tiles_;
    const CpuBank& bank_;
    const GalleryBlock& block_;
    const double beta_;
    std::vector<std::mutex>& bank_tile_locks_;
    TopLists& winners_;
    std::vector<float> padded_;
    std::vector<float> padded_squares_;
    float gallery_norm_ = 0;  // the largest of the tile
    std::vector<float> scores_;
    std::vector<LogMeanExp> sums_;
    std::vector<float> thresholds_;
    std::vector<float> column_;
    std::vector<Survivor> survivors_;
};

}  // namespace

void cpu_probe(const CpuTiles& tiles, const CpuBank& bank,
               const GalleryBlock& block, const Normalization& normalization,
               float* offsets, TopLists& winners) {
    const idx_t rows = block.vectors.rows;
    const idx_t bank_rows = bank.bank.rows;
    std::vector<std::mutex> locks((bank_rows + tiles.probe_bank - 1) /
                                  tiles.probe_bank);
    // Tiles begin where the label is a multiple of their height, wherever a
    // block begins.
    const idx_t shift =
        block.labels ? 0 : block.first_label % tiles.probe_gallery;
    const idx_t tile_count =
        (shift + rows + tiles.probe_gallery - 1) / tiles.probe_gallery;
    ParallelErrors errors;
#pragma omp parallel
    {
        std::optional<ProbeWorker> worker;
#pragma omp for schedule(dynamic)
        for (idx_t t = 0; t < tile_count; t++) {
            errors.run([&] {
                if (!worker) {
                    worker.emplace(tiles, bank, block, normalization, locks,
                                   winners);
                }
                const idx_t tile_begin = t * tiles.probe_gallery - shift;
                const idx_t begin = std::max<idx_t>(tile_begin, 0);
                const idx_t end =
                    std::min(tile_begin + tiles.probe_gallery, rows);
                worker->run(begin, end, begin - tile_begin, offsets);
            });
        }
    }
    errors.rethrow();
}

}  // namespace faiss_qbnorm
