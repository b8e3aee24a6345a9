#include "faiss_qbnorm/core/removal.h"

#include <algorithm>
#include <bit>

#include "faiss_qbnorm/core/error.h"

namespace faiss_qbnorm {

namespace {

HugeVector<float> offsets_left(const SharedArray<float>& offsets,
                               const Removal& removal) {
    HugeVector<float> left;
    left.reserve(removal.new_size());
    for (size_t i = 0; i < offsets.size(); i++) {
        if (!removal.contains(static_cast<idx_t>(i))) {
            left.push_back(offsets[i]);
        }
    }
    return left;
}

BankLists lists_left(const BankLists& lists, idx_t size,
                     const Removal& removal) {
    std::vector<idx_t> labels(lists.labels.size(), -1);
    std::vector<float> scores(lists.scores.size(), Scored{}.score);
    if (lists.length == 0) return {};
    for (size_t first = 0; first < labels.size(); first += lists.length) {
        size_t slot = first;
        for (size_t i = first; i < first + lists.length; i++) {
            const idx_t label = lists.labels[i];
            require(label >= -1 && label < size, "a bank list holds label ",
                    label, ", which is not in the table; fit it again");
            if (label < 0 || removal.contains(label)) continue;
            labels[slot] = removal.new_label(label);
            scores[slot++] = lists.scores[i];
        }
    }
    return {lists.length, std::move(labels), std::move(scores)};
}

}  // namespace

Removal::Removal(idx_t size, Rule rule, std::span<const idx_t> removed)
    : size_(size),
      rule_(rule),
      count_(static_cast<idx_t>(removed.size())),
      removed_(size, removed) {
    idx_t before = 0;
    for (const std::uint64_t word : removed_.words()) {
        before_.push_back(before);
        before += std::popcount(word);
    }
}

idx_t Removal::new_size() const {
    return rule_ == Rule::close_up ? size_ - count_ : size_;
}

idx_t Removal::new_label(idx_t label) const {
    if (rule_ == Rule::leave_holes) return label;
    const std::uint64_t below = (std::uint64_t{1} << (label % 64)) - 1;
    return label - before_[label / 64] -
           std::popcount(removed_.words()[label / 64] & below);
}

NormTable remove(const NormTable& table, const Removal& removal) {
    NormTable left = table;
    left.fingerprint = 0;
    left.gallery_size = removal.new_size();
    left.end = removal.new_size();
    const bool leaves_holes = removal.rule() == Removal::Rule::leave_holes;
    if (leaves_holes) left.holes += removal.count();
    for (BankColumn& column : left.columns) {
        require(column.lists.length > 0 || !column.has_activation(),
                "the table was saved without bank lists, which removing needs");
        if (!leaves_holes) {
            column.offsets = offsets_left(column.offsets, removal);
        }
        column.lists = lists_left(column.lists, table.end, removal);
    }
    return left;
}

NormTable emptied(const NormTable& table) {
    NormTable none = table;
    none.gallery_size = none.begin = none.end = none.holes = 0;
    none.fingerprint = 0;
    for (BankColumn& column : none.columns) {
        const size_t listed = column.lists.labels.size();
        column.offsets = std::vector<float>();
        column.activation = ActivationSet(0, {});
        column.lists.labels = std::vector<idx_t>(listed, -1);
        column.lists.scores = std::vector<float>(listed, Scored{}.score);
    }
    return none;
}

void replace_rows(BankLists& lists, std::span<const idx_t> rows,
                  const BankLists& found) {
    const idx_t length = lists.length;
    std::vector<idx_t> labels(lists.labels.begin(), lists.labels.end());
    std::vector<float> scores(lists.scores.begin(), lists.scores.end());
    for (size_t i = 0; i < rows.size(); i++) {
        const idx_t from = static_cast<idx_t>(i) * length;
        const idx_t to = rows[i] * length;
        std::copy_n(found.labels.begin() + from, length, labels.begin() + to);
        std::copy_n(found.scores.begin() + from, length, scores.begin() + to);
    }
    lists = {length, std::move(labels), std::move(scores)};
}

}  // namespace faiss_qbnorm
