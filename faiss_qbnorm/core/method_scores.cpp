#include "faiss_qbnorm/core/method_scores.h"

#include <algorithm>
#include <limits>

#include "faiss_qbnorm/core/error.h"

namespace faiss_qbnorm {

MethodScores::MethodScores(const TabledMethod& tabled, idx_t items)
    : method_(tabled.method) {
    if (method_ == Method::none || method_ == Method::gc) return;
    require(tabled.table, "method ", name_of(method_), " needs a table");
    const NormTable& table = *tabled.table;
    check(table);
    require(table.is_whole() && table.size() == items, "the table is of rows ",
            table.begin, ":", table.end, " of ", table.gallery_size,
            " items but there are similarities of ", items,
            " items; fit it again");
    if (method_ == Method::dualdis) {
        check_serves(table, method_);
        first_ = column_of(table, Bank::querybank);
        second_ = column_of(table, Bank::gallerybank);
    } else {
        first_ = ranking_column(table, method_);
    }
}

void MethodScores::decide_gates(std::span<const idx_t> raw_top1) {
    gates_.assign(raw_top1.size(), has_offset(method_) ? first : closed);
    if (!is_gated(method_)) return;
    const auto opens = [](const BankColumn& column, idx_t top1) {
        return top1 >= 0 && column.activation.contains(top1);
    };
    for (size_t query = 0; query < raw_top1.size(); query++) {
        const idx_t top1 = raw_top1[query];
        int gates = opens(first_, top1) ? first : closed;
        if (method_ == Method::dualdis && opens(second_, top1)) gates |= second;
        gates_[query] = static_cast<std::uint8_t>(gates);
    }
}

float MethodScores::answer(idx_t query, double key) const {
    double score = key;
    const std::uint8_t gates = gates_[query];
    if (method_ == Method::dualdis && (gates == first || gates == second)) {
        const double size = std::fabs(key);
        const double log = size < 1 ? 1 - 1 / size : size - 1;
        score = std::copysign(std::exp(log), key);
    }
    constexpr double most = std::numeric_limits<float>::max();
    return static_cast<float>(std::clamp(score, -most, most));
}

}  // namespace faiss_qbnorm
