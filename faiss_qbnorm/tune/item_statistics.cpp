#include "faiss_qbnorm/tune/item_statistics.h"

#include <algorithm>
#include <functional>

#include "faiss_qbnorm/core/norm_table.h"
#include "faiss_qbnorm/core/parallel_errors.h"
#include "faiss_qbnorm/cpu/simd.h"
#include "faiss_qbnorm/tune/tile.h"

namespace faiss_qbnorm {

namespace {

void find_softmax(const float* scores, idx_t rows, const Wanted& wanted,
                  idx_t item, ItemStatistics& result) {
    constexpr std::uint8_t fine = 1;
    float shift = 0;
    simd::row_maxima(scores, 1, rows, &shift);
    for (size_t b = 0; b < wanted.betas.size(); b++) {
        simd::ExpSums tile;
        simd::exp_sums(scores, 1, rows, wanted.betas[b], &shift, &fine, &tile);
        LogMeanExp sums{shift};
        sums.add(tile.expm1, tile.exp, static_cast<double>(rows));
        result.softmax[b][item] =
            static_cast<float>(sums.is_offset(wanted.betas[b]));
    }
}

/// The largest scores come sorted, so that a mean of few is the beginning of a
/// mean of many.
void find_means(const float* scores, idx_t rows, const Wanted& wanted,
                idx_t item, ItemStatistics& result) {
    const idx_t most = wanted.neighbours.back();
    std::vector<float> largest(scores, scores + rows);
    const auto end = largest.begin() + most;
    std::nth_element(largest.begin(), end - 1, largest.end(), std::greater<>());
    std::sort(largest.begin(), end, std::greater<>());
    double sum = 0;
    idx_t taken = 0;
    for (size_t n = 0; n < wanted.neighbours.size(); n++) {
        for (; taken < wanted.neighbours[n]; taken++) sum += largest[taken];
        result.means[n][item] =
            static_cast<float>(sum / static_cast<double>(taken));
    }
}

}  // namespace

ItemStatistics item_statistics(const Similarities& bank, const Wanted& wanted) {
    const idx_t items = bank.items();
    ItemStatistics result;
    result.softmax.resize(wanted.betas.size(), std::vector<float>(items));
    result.means.resize(wanted.neighbours.size(), std::vector<float>(items));
    TopLists winners(bank.rows(), std::min(wanted.winners, items));
    const idx_t step = block_items(bank);
    Tile tile;
    for (idx_t begin = 0; begin < items; begin += step) {
        tile.read(bank, begin, std::min(begin + step, items));
        ParallelErrors errors;
#pragma omp parallel for schedule(dynamic, 16)
        for (idx_t i = 0; i < tile.items; i++) {
            errors.run([&] {
                find_softmax(tile.item(i), tile.columns, wanted, begin + i,
                             result);
                if (wanted.neighbours.empty()) return;
                find_means(tile.item(i), tile.columns, wanted, begin + i,
                           result);
            });
        }
        errors.rethrow();
        if (winners.k() > 0) offer(tile, begin, nullptr, winners);
    }
    result.winners_per_row = winners.k();
    const BankLists lists = to_bank_lists(winners);
    result.winners.assign(lists.labels.begin(), lists.labels.end());
    return result;
}

}  // namespace faiss_qbnorm
