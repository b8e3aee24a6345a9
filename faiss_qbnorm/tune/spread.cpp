#include "faiss_qbnorm/tune/spread.h"

#include <cmath>

namespace faiss_qbnorm {

RankedLabels::RankedLabels(const TopLists& lists)
    : nq(lists.rows()), depth(lists.k()), labels(nq * depth, -1) {
    for (idx_t query = 0; query < nq; query++) {
        idx_t slot = query * depth;
        for (const Scored& item : lists.sorted(query)) {
            labels[slot++] = item.label;
        }
    }
}

double SpreadMeter::of_log(idx_t count) {
    while (static_cast<idx_t>(count_logs_.size()) <= count) {
        const auto c = static_cast<double>(count_logs_.size());
        count_logs_.push_back(c > 0 ? c * std::log(c) : 0);
    }
    return count_logs_[count];
}

double SpreadMeter::measure(const RankedLabels& lists,
                            std::span<const idx_t> queries,
                            std::span<const std::uint8_t> open,
                            const RankedLabels* closed) {
    const auto row_of = [&](idx_t query) {
        return open.empty() || open[query] ? lists.row(query)
                                           : closed->row(query);
    };
    double spread = 0;
    double sum = 0;  // of c log c over the counts so far
    idx_t answers = 0;
    idx_t from = 0;
    for (const idx_t to : {idx_t{1}, idx_t{5}, depth}) {
        for (const idx_t query : queries) {
            const auto row = row_of(query);
            const auto end = std::min(to, static_cast<idx_t>(row.size()));
            for (idx_t i = from; i < end; i++) {
                if (row[i] < 0) break;
                const idx_t count = ++counts_[row[i]];
                sum += of_log(count) - of_log(count - 1);
                answers++;
            }
        }
        from = to;
        if (answers > 0) {
            const auto total = static_cast<double>(answers);
            spread += std::log(total) - sum / total;
        }
    }
    for (const idx_t query : queries) {
        for (const idx_t label : row_of(query)) {
            if (label >= 0) counts_[label] = 0;
        }
    }
    return spread;
}

}  // namespace faiss_qbnorm
