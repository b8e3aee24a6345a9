#include "faiss_qbnorm/eval/hubness.h"

#include <algorithm>
#include <numeric>

#include "faiss_qbnorm/eval/metrics.h"

namespace faiss_qbnorm {

Hubness hubness(std::span<const idx_t> labels, idx_t k, idx_t gallery_size) {
    Hubness result;
    result.k = k;
    result.occurrences = k_occurrence(labels, gallery_size);
    const auto& counts = result.occurrences;
    result.skewness = k_skewness(counts);
    const auto never_retrieved = std::count(counts.begin(), counts.end(), 0);
    result.retrieved = 1 - static_cast<double>(never_retrieved) /
                               static_cast<double>(gallery_size);
    result.max_occurrence = *std::max_element(counts.begin(), counts.end());
    return result;
}

std::vector<idx_t> first_items(const BankLists& lists) {
    std::vector<idx_t> result;
    for (size_t slot = 0; slot < lists.labels.size(); slot += lists.length) {
        result.push_back(lists.labels[slot]);
    }
    return result;
}

std::vector<Hub> top_hubs(std::span<const idx_t> occurrences, idx_t count,
                          std::span<const idx_t> bank_first) {
    std::vector<idx_t> order(occurrences.size());
    std::iota(order.begin(), order.end(), 0);
    const auto taken = std::min(count, static_cast<idx_t>(order.size()));
    std::partial_sort(order.begin(), order.begin() + taken, order.end(),
                      [&](idx_t a, idx_t b) {
                          return occurrences[a] > occurrences[b] ||
                                 (occurrences[a] == occurrences[b] && a < b);
                      });
    std::vector<Hub> hubs;
    for (idx_t i = 0; i < taken && occurrences[order[i]] > 0; i++) {
        hubs.push_back({order[i], occurrences[order[i]], {}});
    }
    for (size_t query = 0; query < bank_first.size(); query++) {
        for (Hub& hub : hubs) {
            if (hub.label == bank_first[query]) {
                hub.bank_queries.push_back(static_cast<idx_t>(query));
            }
        }
    }
    return hubs;
}

}  // namespace faiss_qbnorm
