#include "faiss_qbnorm/eval/evaluate.h"

#include <algorithm>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/search.h"

namespace faiss_qbnorm {

namespace {

constexpr idx_t occurrence_k = 10;

void check_groundtruth(const Gallery& gallery, const MatrixView& queries,
                       std::span<const idx_t> groundtruth) {
    require(static_cast<idx_t>(groundtruth.size()) == queries.rows,
            "the ground truth has ", groundtruth.size(), " entries for ",
            queries.rows, " queries; give one label per query");
    for (size_t i = 0; i < groundtruth.size(); i++) {
        require(groundtruth[i] >= 0 && groundtruth[i] < gallery.size(),
                "the ground truth of query ", i, " is item ", groundtruth[i],
                " but ", gallery.name(), " has ", gallery.size(), " items");
    }
}

RankTargets targets_of(const Gallery& gallery, const NormTable& table,
                       const MatrixView& queries,
                       std::span<const idx_t> groundtruth) {
    RankTargets targets;
    targets.raw.resize(queries.rows);
    gallery.for_each_block(0, gallery.size(), [&](const GalleryBlock& block) {
        const idx_t first = block.first_label;
        for (idx_t i = 0; i < queries.rows; i++) {
            const idx_t row = groundtruth[i] - first;
            if (row < 0 || row >= block.vectors.rows) continue;
            targets.raw[i] = exact_score(table.metric, queries.row(i),
                                         block.vectors.row(row), queries.d);
        }
    });
    const auto& offsets = column_of(table, Bank::querybank).offsets;
    for (idx_t i = 0; i < queries.rows; i++) {
        targets.normalised.push_back(targets.raw[i] - offsets[groundtruth[i]]);
    }
    targets.raw_rank.resize(queries.rows);
    targets.normalised_rank.resize(queries.rows);
    return targets;
}

// What one method says of all queries, collected over batches.
struct Collected {
    std::vector<double> ranks;
    std::vector<idx_t> labels;
    idx_t open = 0;

    void add(const ScanState& state, const NormTable& table, Method method) {
        const idx_t nq = state.raw.rows();
        const idx_t k = state.raw.k();
        std::vector<float> scores(nq * k);
        std::vector<idx_t> batch_labels(nq * k);
        std::vector<std::uint8_t> gates(nq);
        const Gate gate{method, column_of(table, Bank::querybank).activation};
        finish_scan(state, &gate, k, {scores.data(), batch_labels.data()},
                    gates.data());
        labels.insert(labels.end(), batch_labels.begin(), batch_labels.end());
        for (idx_t i = 0; i < nq; i++) {
            const RankCount& rank = gates[i] ? state.targets.normalised_rank[i]
                                             : state.targets.raw_rank[i];
            // The answer is level with itself.
            ranks.push_back(static_cast<double>(rank.before) +
                            static_cast<double>(rank.level - 1) / 2);
            open += gates[i];
        }
    }

    MethodReport report(Method method, idx_t gallery_size) const {
        const std::vector<idx_t> occurrences =
            k_occurrence(labels, gallery_size);
        return {method, retrieval_metrics(ranks), k_skewness(occurrences),
                *std::max_element(occurrences.begin(), occurrences.end()),
                static_cast<double>(open) / static_cast<double>(ranks.size())};
    }
};

}  // namespace

std::vector<MethodReport> evaluate(const Engine& engine, const Gallery& gallery,
                                   const NormTable& table,
                                   std::span<const Method> methods,
                                   const MatrixView& queries,
                                   std::span<const idx_t> groundtruth,
                                   const std::function<void(idx_t)>& progress) {
    require(queries.rows > 0, "there are no queries to evaluate");
    require(queries.d == gallery.d(), "the queries have dimension ", queries.d,
            " but ", gallery.name(), " has ", gallery.d());
    check_table_fits(table, gallery.size(), gallery.d(), table.metric);
    check_groundtruth(gallery, queries, groundtruth);
    check_finite(queries, "queries");

    const auto bound_table = engine.bind_table(table);
    std::vector<Collected> collected(methods.size());
    const idx_t batch = query_batch(occurrence_k);
    for (idx_t first = 0; first < queries.rows; first += batch) {
        const idx_t last = std::min(first + batch, queries.rows);
        const MatrixView rows = queries.slice(first, last);
        ScanState state = begin_scan(rows.rows, occurrence_k, true);
        state.targets = targets_of(gallery, table, rows,
                                   groundtruth.subspan(first, rows.rows));
        gallery.for_each_block(0, gallery.size(), [&](const GalleryBlock& b) {
            engine.scan(*engine.bind_gallery(table.metric, b),
                        bound_table.get(), rows, state);
        });
        for (size_t i = 0; i < methods.size(); i++) {
            collected[i].add(state, table, methods[i]);
        }
        if (progress) progress(last);
    }
    std::vector<MethodReport> reports;
    for (size_t i = 0; i < methods.size(); i++) {
        reports.push_back(collected[i].report(methods[i], gallery.size()));
    }
    return reports;
}

}  // namespace faiss_qbnorm
