#include "faiss_qbnorm/eval/groundtruth.h"

#include <algorithm>

#include "faiss_qbnorm/core/error.h"

namespace faiss_qbnorm {

GroundTruth contiguous_groundtruth(idx_t queries, idx_t items) {
    require(items > 0 && queries > 0 && queries % items == 0, queries,
            " queries are no whole number for each of ", items,
            " items; give a ground truth");
    GroundTruth truth;
    truth.labels.resize(queries);
    const idx_t each = queries / items;
    for (idx_t i = 0; i < queries; i++) truth.labels[i] = i / each;
    return truth;
}

void check(const GroundTruth& truth, idx_t queries, idx_t items) {
    require(truth.width >= 1 && truth.rows() == queries &&
                truth.rows() * truth.width ==
                    static_cast<idx_t>(truth.labels.size()),
            "the ground truth has ", truth.labels.size(), " entries for ",
            queries, " queries; give one row of labels per query");
    for (size_t i = 0; i < truth.labels.size(); i++) {
        const idx_t label = truth.labels[i];
        require(label >= -1 && label < items, "the ground truth of query ",
                static_cast<idx_t>(i) / truth.width, " is item ", label,
                " but the gallery has ", items, " items");
    }
}

bool has_answer(std::span<const idx_t> row) {
    return std::any_of(row.begin(), row.end(),
                       [](idx_t item) { return item >= 0; });
}

GroundTruth slice(const GroundTruth& truth, idx_t begin, idx_t end) {
    return {truth.width,
            {truth.labels.begin() + begin * truth.width,
             truth.labels.begin() + end * truth.width}};
}

GroundTruth rows_of(const GroundTruth& truth, std::span<const idx_t> queries) {
    GroundTruth result{truth.width, {}};
    for (const idx_t query : queries) {
        const auto row = truth.row(query);
        result.labels.insert(result.labels.end(), row.begin(), row.end());
    }
    return result;
}

GroundTruth inverted(const GroundTruth& truth, idx_t items) {
    std::vector<std::vector<idx_t>> queries_of(items);
    for (idx_t query = 0; query < truth.rows(); query++) {
        for (const idx_t item : truth.row(query)) {
            if (item < 0) continue;
            auto& queries = queries_of[item];
            // An item may stand twice in a row.
            if (queries.empty() || queries.back() != query) {
                queries.push_back(query);
            }
        }
    }
    GroundTruth result;
    for (const auto& queries : queries_of) {
        result.width =
            std::max(result.width, static_cast<idx_t>(queries.size()));
    }
    result.labels.assign(items * result.width, -1);
    for (idx_t item = 0; item < items; item++) {
        std::copy(queries_of[item].begin(), queries_of[item].end(),
                  result.labels.begin() + item * result.width);
    }
    return result;
}

}  // namespace faiss_qbnorm
