#include "faiss_qbnorm/eval/evaluate.h"

#include <algorithm>
#include <limits>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/eval/collected.h"
#include "faiss_qbnorm/search.h"

namespace faiss_qbnorm {

namespace {

constexpr float no_score = -std::numeric_limits<float>::infinity();

// The best raw and the best normalised score of each query's right items.
RankTargets targets_of(const Gallery& gallery, Metric metric,
                       const SharedArray<float>& offsets,
                       const MatrixView& queries, const GroundTruth& truth) {
    RankTargets targets;
    targets.raw.resize(queries.rows, no_score);
    targets.normalised.resize(queries.rows, no_score);
    targets.raw_rank.resize(queries.rows);
    targets.normalised_rank.resize(queries.rows);
    gallery.for_each_block(0, gallery.size(), [&](const GalleryBlock& block) {
        for (idx_t i = 0; i < queries.rows; i++) {
            for (const idx_t item : truth.row(i)) {
                const idx_t row = item - block.first_label;
                if (item < 0 || row < 0 || row >= block.vectors.rows) continue;
                const float score = exact_score(
                    metric, queries.row(i), block.vectors.row(row), queries.d);
                targets.raw[i] = std::max(targets.raw[i], score);
                targets.normalised[i] =
                    std::max(targets.normalised[i], score - offsets[item]);
            }
        }
    });
    // Where there is no right item any rank will do that can be counted.
    for (idx_t i = 0; i < queries.rows; i++) {
        if (targets.raw[i] != no_score) continue;
        targets.raw[i] = 0;
        targets.normalised[i] = 0;
    }
    return targets;
}

void collect(const ScanState& state, const Gate& gate, const GroundTruth& truth,
             Collected& collected) {
    const idx_t nq = state.raw.rows();
    const idx_t k = state.raw.k();
    std::vector<float> scores(nq * k);
    std::vector<idx_t> labels(nq * k);
    std::vector<std::uint8_t> gates(nq);
    finish_scan(state, &gate, k, {scores.data(), labels.data()}, gates.data());
    for (idx_t i = 0; i < nq; i++) {
        const RankCount& count = gates[i] ? state.targets.normalised_rank[i]
                                          : state.targets.raw_rank[i];
        collected.add(has_answer(truth.row(i)) ? mean_rank(count) : never,
                      std::span(labels).subspan(i * k, k), gates[i] != 0);
    }
}

// Methods whose scores differ by one column's offsets, or by none.
struct Pass {
    BankColumn column;
    std::vector<size_t> methods;
};

std::vector<Pass> passes_for(const NormTable& table,
                             std::span<const Method> methods) {
    std::vector<Pass> passes;
    Pass dual;
    Pass first;
    for (size_t i = 0; i < methods.size(); i++) {
        const Method method = methods[i];
        require(method == Method::none || has_offset(method), "method ",
                name_of(method), " ranks by no offset; evaluate it by banks");
        Pass& pass = method == Method::dualis ? dual : first;
        // That of none may be any column; another method's must be its own.
        if (pass.methods.empty() || method != Method::none) {
            pass.column = method == Method::none
                              ? table.columns.at(0)
                              : ranking_column(table, method);
        }
        pass.methods.push_back(i);
    }
    for (Pass* pass : {&first, &dual}) {
        if (!pass->methods.empty()) passes.push_back(std::move(*pass));
    }
    return passes;
}

void check_inputs(const Gallery& gallery, const NormTable& table,
                  const MatrixView& queries, const GroundTruth& truth) {
    require(queries.rows > 0, "there are no queries to evaluate");
    require(queries.d == gallery.d(), "the queries have dimension ", queries.d,
            " but ", gallery.name(), " has ", gallery.d());
    check_table_fits(table, gallery.size(), gallery.d(), table.metric);
    check(truth, queries.rows, gallery.size());
    check_finite(queries, "queries");
}

}  // namespace

std::vector<MethodReport> evaluate(const Engine& engine, const Gallery& gallery,
                                   const NormTable& table,
                                   std::span<const Method> methods,
                                   const MatrixView& queries,
                                   const GroundTruth& truth,
                                   const std::function<void(idx_t)>& progress) {
    check_inputs(gallery, table, queries, truth);
    std::vector<MethodReport> reports(methods.size());
    const std::vector<Pass> passes = passes_for(table, methods);
    const idx_t batch = query_batch(occurrence_k);
    for (const Pass& pass : passes) {
        const auto bound = engine.bind_table(table, pass.column);
        std::vector<Collected> collected(pass.methods.size());
        for (idx_t first = 0; first < queries.rows; first += batch) {
            const idx_t last = std::min(first + batch, queries.rows);
            const MatrixView rows = queries.slice(first, last);
            const GroundTruth right = slice(truth, first, last);
            ScanState state = begin_scan(rows.rows, occurrence_k, true);
            state.targets = targets_of(gallery, table.metric,
                                       pass.column.offsets, rows, right);
            gallery.for_each_block(
                0, gallery.size(), [&](const GalleryBlock& block) {
                    engine.scan(*engine.bind_gallery(table.metric, block),
                                bound.get(), rows, state);
                });
            for (size_t i = 0; i < collected.size(); i++) {
                collect(state,
                        {methods[pass.methods[i]], pass.column.activation},
                        right, collected[i]);
            }
            if (progress) progress(last);
        }
        for (size_t i = 0; i < collected.size(); i++) {
            const size_t method = pass.methods[i];
            reports[method] =
                collected[i].report(methods[method], gallery.size());
        }
    }
    return reports;
}

}  // namespace faiss_qbnorm
