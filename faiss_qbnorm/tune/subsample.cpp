#include "faiss_qbnorm/tune/subsample.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/tune/draw.h"
#include "faiss_qbnorm/tune/item_statistics.h"

namespace faiss_qbnorm {

std::vector<idx_t> distinct_rows(const MatrixView& vectors) {
    const size_t bytes = sizeof(float) * vectors.d;
    std::vector<idx_t> order(vectors.rows);
    std::iota(order.begin(), order.end(), 0);
    const auto compare = [&](idx_t a, idx_t b) {
        return std::memcmp(vectors.row(a), vectors.row(b), bytes);
    };
    std::sort(order.begin(), order.end(), [&](idx_t a, idx_t b) {
        const int difference = compare(a, b);
        return difference != 0 ? difference < 0 : a < b;
    });
    const auto end =
        std::unique(order.begin(), order.end(),
                    [&](idx_t a, idx_t b) { return compare(a, b) == 0; });
    order.erase(end, order.end());
    std::sort(order.begin(), order.end());
    return order;
}

std::vector<idx_t> subsample(const MatrixView& vectors,
                             const Similarities& bank, idx_t size) {
    constexpr std::uint32_t seed = 1;
    const std::vector<idx_t> distinct = distinct_rows(vectors);
    const auto rows = static_cast<idx_t>(distinct.size());
    require(size >= 1 && size <= rows, bank.name(), ": has ", rows,
            " distinct rows, of which ", size, " cannot be taken");
    const std::vector<idx_t> first = item_statistics(bank, {{}, {}, 1}).winners;
    std::vector<idx_t> order = draw(rows, rows, seed);
    for (idx_t& row : order) row = distinct[row];
    std::stable_sort(order.begin(), order.end(),
                     [&](idx_t a, idx_t b) { return first[a] < first[b]; });
    std::vector<idx_t> taken;
    for (idx_t i = 0; i < size; i++) {
        taken.push_back(order[(2 * i + 1) * rows / (2 * size)]);
    }
    std::sort(taken.begin(), taken.end());
    return taken;
}

}  // namespace faiss_qbnorm
