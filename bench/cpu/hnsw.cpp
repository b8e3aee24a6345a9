#include <limits>

#include "bench/cpu/batch.h"
#include "bench/cpu/benchmarks.h"
#include "bench/cpu/graph.h"
#include "faiss_qbnorm/IndexQBNorm.h"

namespace bench {

using namespace faiss_qbnorm;

namespace {

constexpr idx_t k = 10;

/// The scores of a base's first `candidates` items: what is reranked.
RawScores candidate_scores(const faiss::Index& base, const MatrixView& queries,
                           idx_t candidates) {
    std::vector<float> scores(queries.rows * candidates);
    std::vector<idx_t> labels(scores.size());
    base.search(queries.rows, queries.data, candidates, scores.data(),
                labels.data());
    return [&base, candidates, scores, labels](idx_t query) {
        std::vector<double> result(base.ntotal,
                                   -std::numeric_limits<double>::infinity());
        for (idx_t i = query * candidates; i < (query + 1) * candidates; i++) {
            if (labels[i] >= 0) result[labels[i]] = scores[i];
        }
        return result;
    };
}

}  // namespace

Graph& Graph::of(const Setup& setup) {
    static Graph graph(setup);
    return graph;
}

void bench_hnsw(const Setup& setup) {
    Graph& graph = Graph::of(setup);
    graph.hnsw.hnsw.efSearch = setup.ef_search;
    const Vectors bank(setup.small_bank, setup.d, 4);
    IndexQBNorm index(&graph.hnsw);
    index.set_querybank(bank.view().rows, bank.view().data);
    const idx_t candidates = std::max<idx_t>(
        setup.ef_search,
        std::max(static_cast<idx_t>(k * index.k_factor), index.min_candidates));
    Batch batch(setup.graph_queries, setup.d, k);
    batch.verify(index,
                 candidate_scores(graph.hnsw, batch.queries(), candidates));
    const auto measured = race({batch.contender("IndexQBNorm", index),
                                batch.contender("the bare base", graph.hnsw)});
    print({"hnsw",
           {{"base", "HNSW32"},
            {"d", setup.d},
            {"items", setup.graph_items},
            {"efSearch", setup.ef_search},
            {"nq", batch.size()},
            {"k", k}},
           "queries/s",
           measured[0],
           {measured[1]},
           {},
           {{"candidates", candidates}}});
}

}  // namespace bench
