#include "faiss_qbnorm/core/relabel.h"

#include <algorithm>

#include "faiss_qbnorm/core/error.h"

namespace faiss_qbnorm {

NormTable moved_to(const NormTable& table, idx_t begin) {
    NormTable moved = table;
    moved.gallery_size = begin + table.size();
    moved.begin = begin;
    moved.end = begin + table.size();
    moved.fingerprint = 0;
    for (BankColumn& column : moved.columns) {
        const auto& old = column.lists.labels;
        std::vector<idx_t> labels(old.begin(), old.end());
        for (idx_t& label : labels) {
            if (label >= 0) label += begin - table.begin;
        }
        column.lists.labels = std::move(labels);
    }
    return moved;
}

NormTable grown(const NormTable& table, idx_t end, idx_t gallery_size) {
    NormTable result = table;
    result.gallery_size = gallery_size;
    if (end == table.end) return result;
    result.end = end;
    result.holes += end - table.end;
    for (BankColumn& column : result.columns) {
        const auto& old = column.offsets;
        HugeVector<float> offsets(old.begin(), old.end());
        // In a hole any offset will do that is within the others' range.
        offsets.resize(result.size(), old.empty() ? 0 : old[0]);
        column.offsets = std::move(offsets);
        if (!column.has_activation()) continue;
        column.activation = activation_from_lists(
            column.lists, column.normalization.activation_k, result.begin, end);
    }
    return result;
}

NormTable with_longer_lists(const NormTable& table, idx_t length) {
    NormTable result = table;
    for (BankColumn& column : result.columns) {
        const BankLists& old = column.lists;
        if (old.length == 0 || old.length >= length) continue;
        std::vector<idx_t> labels(column.bank_size * length, -1);
        std::vector<float> scores(labels.size(), Scored{}.score);
        for (idx_t row = 0; row < column.bank_size; row++) {
            std::copy_n(old.labels.begin() + row * old.length, old.length,
                        labels.begin() + row * length);
            std::copy_n(old.scores.begin() + row * old.length, old.length,
                        scores.begin() + row * length);
        }
        column.lists = {length, std::move(labels), std::move(scores)};
    }
    return result;
}

}  // namespace faiss_qbnorm
