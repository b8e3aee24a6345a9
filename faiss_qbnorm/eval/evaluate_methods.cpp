#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/eval/collected.h"
#include "faiss_qbnorm/eval/evaluate.h"
#include "faiss_qbnorm/eval/full_ranking.h"
#include "faiss_qbnorm/similarities/vector_similarities.h"

namespace faiss_qbnorm {

namespace {

bool takes_offset(Method method) {
    return method == Method::none || has_offset(method);
}

MethodReport report_of(const FullRanking& ranking, Method method,
                       idx_t gallery_size) {
    Collected collected;
    for (size_t i = 0; i < ranking.target_ranks.size(); i++) {
        collected.add(
            ranking.target_ranks[i],
            std::span(ranking.labels).subspan(i * occurrence_k, occurrence_k),
            method == Method::gc || ranking.open[i] != 0);
    }
    return collected.report(method, gallery_size);
}

// Reports of the methods at `which`, to their places.
void rank(const Similarities& queries, const Similarities& querybank,
          const MethodTables& tables, const std::vector<size_t>& which,
          const GroundTruth& truth, std::vector<MethodReport>& reports) {
    check(truth, queries.rows(), queries.items());
    std::vector<TabledMethod> tabled;
    tabled.reserve(which.size());
    for (const size_t method : which) tabled.push_back(tables.tabled(method));
    const std::vector<FullRanking> rankings =
        rank_all(queries, tabled, {occurrence_k, truth.labels, &querybank});
    for (size_t i = 0; i < which.size(); i++) {
        reports[which[i]] =
            report_of(rankings[i], tabled[i].method, queries.items());
    }
}

}  // namespace

std::vector<MethodReport> evaluate(const Engine& engine, const Gallery& gallery,
                                   const Banks& banks,
                                   const MethodTables& tables,
                                   const MatrixView& queries,
                                   const GroundTruth& truth,
                                   const std::function<void(idx_t)>& progress) {
    std::vector<MethodReport> reports(tables.methods.size());
    std::vector<size_t> others;
    for (size_t t = 0; t < tables.tables.size(); t++) {
        std::vector<size_t> which;
        std::vector<Method> methods;
        for (size_t i = 0; i < tables.methods.size(); i++) {
            if (tables.table_of[i] != t) continue;
            const Method method = tables.methods[i];
            if (!takes_offset(method)) {
                others.push_back(i);
                continue;
            }
            which.push_back(i);
            methods.push_back(method);
        }
        if (methods.empty()) continue;
        const auto some = evaluate(engine, gallery, tables.tables[t], methods,
                                   queries, truth, progress);
        for (size_t i = 0; i < some.size(); i++) reports[which[i]] = some[i];
    }
    if (!others.empty()) {
        const Metric metric = tables.tables.front().metric;
        const VectorSimilarities asked(metric, gallery, queries, "queries");
        const VectorSimilarities bank(metric, gallery, banks.querybank,
                                      "querybank");
        rank(asked, bank, tables, others, truth, reports);
    }
    return reports;
}

std::vector<MethodReport> evaluate(const Similarities& queries,
                                   const Similarities& querybank,
                                   const MethodTables& tables,
                                   const GroundTruth& truth) {
    std::vector<MethodReport> reports(tables.methods.size());
    std::vector<size_t> all(tables.methods.size());
    for (size_t i = 0; i < all.size(); i++) all[i] = i;
    rank(queries, querybank, tables, all, truth, reports);
    return reports;
}

}  // namespace faiss_qbnorm
