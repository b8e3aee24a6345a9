#include "faiss_qbnorm/core/merge.h"

#include <algorithm>

#include "faiss_qbnorm/core/error.h"

namespace faiss_qbnorm {

namespace {

using Parts = std::span<const NormTable* const>;

void check_mergeable(const NormTable& a, const NormTable& b) {
    require(
        a.d == b.d && a.metric == b.metric && a.gallery_size == b.gallery_size,
        "the parts are not of one gallery: rows ", a.begin, ":", a.end,
        " are of ", a.gallery_size, " items, d = ", a.d, ", metric ",
        name_of(a.metric), "; rows ", b.begin, ":", b.end, " are of ",
        b.gallery_size, " items, d = ", b.d, ", metric ", name_of(b.metric));
    require(a.end == b.begin, "the parts do not join: rows ", a.begin, ":",
            a.end, " are followed by rows ", b.begin, ":", b.end);
    bool same = a.columns.size() == b.columns.size();
    for (size_t i = 0; same && i < a.columns.size(); i++) {
        const BankColumn& x = a.columns[i];
        const BankColumn& y = b.columns[i];
        same = same_bank_and_fit(x, y) && x.lists.length == y.lists.length;
        require(!same || x.lists.length > 0 || !x.has_activation(), "rows ",
                a.begin, ":", a.end,
                " were saved without bank lists, which merging needs");
    }
    require(same, "rows ", a.begin, ":", a.end, " and rows ", b.begin, ":",
            b.end,
            " were not fitted with the same bank, method, beta and "
            "activation_k");
}

// The last item of a bank query up to which every part knows its ranking: a
// part from whose list items were removed says nothing of what follows.
Scored known_until(const Parts& parts, size_t column, idx_t row) {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    Scored last{-infinity, std::numeric_limits<idx_t>::max()};
    for (const NormTable* part : parts) {
        const BankLists& lists = part->columns[column].lists;
        const idx_t known = lists.known(row);
        if (known >= std::min(lists.length, part->items())) continue;
        const idx_t slot = row * lists.length + known - 1;
        const Scored end = known > 0
                               ? Scored{lists.scores[slot], lists.labels[slot]}
                               : Scored{infinity, -1};
        if (ranks_before(end, last)) last = end;
    }
    return last;
}

BankLists merge_lists(const Parts& parts, size_t column) {
    const BankColumn& first = parts.front()->columns[column];
    const idx_t length = first.lists.length;
    TopLists winners(first.bank_size, length);
    for (idx_t row = 0; row < first.bank_size; row++) {
        const Scored last = known_until(parts, column, row);
        for (const NormTable* part : parts) {
            const BankLists& lists = part->columns[column].lists;
            for (idx_t i = row * length; i < (row + 1) * length; i++) {
                const Scored item{lists.scores[i], lists.labels[i]};
                if (item.label >= 0 && !ranks_before(last, item)) {
                    winners.offer(row, item);
                }
            }
        }
    }
    return to_bank_lists(winners);
}

// What `more` has where the table knows all that ranks before it.
BankLists known_lists(const NormTable& table, const NormTable& more,
                      size_t column) {
    const NormTable* const before[] = {&table};
    const BankLists& lists = more.columns[column].lists;
    std::vector<idx_t> labels(lists.labels.begin(), lists.labels.end());
    std::vector<float> scores(lists.scores.begin(), lists.scores.end());
    for (idx_t row = 0; row < more.columns[column].bank_size; row++) {
        const Scored last = known_until(before, column, row);
        for (idx_t i = row * lists.length; i < (row + 1) * lists.length; i++) {
            if (!ranks_before(last, {scores[i], labels[i]})) continue;
            scores[i] = Scored{}.score;
            labels[i] = Scored{}.label;
        }
    }
    return {lists.length, std::move(labels), std::move(scores)};
}

// Known where every part's is.
std::uint64_t merge_fingerprints(const Parts& parts) {
    std::uint64_t sum = 0;
    for (const NormTable* part : parts) {
        if (part->fingerprint == 0 && part->items() > 0) return 0;
        sum += part->fingerprint;
    }
    return sum;
}

SharedArray<float> join_offsets(const Parts& parts, size_t column) {
    HugeVector<float> offsets;
    offsets.reserve(parts.back()->end - parts.front()->begin);
    for (const NormTable* part : parts) {
        const auto& more = part->columns[column].offsets;
        offsets.insert(offsets.end(), more.begin(), more.end());
    }
    return offsets;
}

/// Parts in their order; `lists_of` makes a column's lists of theirs.
template <class ListsOf>
NormTable join(const Parts& parts, const ListsOf& lists_of) {
    for (const NormTable* part : parts) check(*part);
    for (size_t i = 1; i < parts.size(); i++) {
        check_mergeable(*parts[i - 1], *parts[i]);
    }
    NormTable result = *parts.front();
    if (parts.size() == 1) return result;
    result.end = parts.back()->end;
    for (size_t i = 1; i < parts.size(); i++) {
        result.holes += parts[i]->holes;
    }
    result.fingerprint = merge_fingerprints(parts);
    for (size_t i = 0; i < result.columns.size(); i++) {
        BankColumn& column = result.columns[i];
        column.offsets = join_offsets(parts, i);
        if (column.lists.length > 0) column.lists = lists_of(i);
    }
    decide_activation(result);
    return result;
}

}  // namespace

NormTable merge(std::span<const NormTable* const> tables) {
    require(!tables.empty(), "there is nothing to merge");
    std::vector<const NormTable*> parts(tables.begin(), tables.end());
    std::sort(parts.begin(), parts.end(), [](const auto* a, const auto* b) {
        return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
    });
    return join(parts,
                [&](size_t column) { return merge_lists(parts, column); });
}

NormTable append(const NormTable& table, const NormTable& more) {
    const NormTable* const parts[] = {&table, &more};
    return join(
        parts, [&](size_t column) { return known_lists(table, more, column); });
}

}  // namespace faiss_qbnorm
