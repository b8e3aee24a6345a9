#include "faiss_qbnorm/faiss/search_dualdis.h"

#include <algorithm>

#include "faiss_qbnorm/rerank_dualdis.h"
#include "faiss_qbnorm/search.h"

namespace faiss_qbnorm {

namespace {

/// Some of the queries, and where their answers belong.
struct Some {
    std::vector<idx_t> places;
    std::vector<float> rows;

    void add(const MatrixView& queries, idx_t i) {
        places.push_back(i);
        rows.insert(rows.end(), queries.row(i), queries.row(i + 1));
    }
    MatrixView view(int d) const {
        return {rows.data(), static_cast<idx_t>(places.size()), d};
    }
};

void search_open(const faiss::Index& base, const SearchPlan& dualis,
                 const Some& open, int d, idx_t k, const Answers& answers,
                 const faiss::SearchParameters* params, QueryReport* reports) {
    const MatrixView queries = open.view(d);
    std::vector<float> scores(queries.rows * k);
    std::vector<idx_t> labels(queries.rows * k);
    std::vector<QueryReport> here(reports ? queries.rows : 0);
    search_base(base, dualis, queries, k, {scores.data(), labels.data()},
                params, reports ? here.data() : nullptr);
    for (idx_t i = 0; i < queries.rows; i++) {
        const idx_t place = open.places[i];
        std::copy_n(scores.data() + i * k, k, answers.scores + place * k);
        std::copy_n(labels.data() + i * k, k, answers.labels + place * k);
        if (reports) reports[place] = here[i];
    }
}

}  // namespace

void search_dualdis(const faiss::Index& base, const SearchPlan& plan,
                    const NormTable& table, const MatrixView& queries, idx_t k,
                    const Answers& answers,
                    const faiss::SearchParameters* params,
                    QueryReport* reports) {
    SearchPlan raw = plan;
    raw.method = Method::none;
    const idx_t candidates = candidates_of(base, plan, k, params);
    const idx_t batch = query_batch(candidates);
    std::vector<float> scores;
    std::vector<idx_t> labels;
    std::vector<std::uint8_t> open_gates;
    Some open;
    for (idx_t first = 0; first < queries.rows; first += batch) {
        const idx_t n = std::min(batch, queries.rows - first);
        scores.resize(n * candidates);
        labels.resize(n * candidates);
        open_gates.assign(n, 0);
        if (candidates > 0) {
            search_base(base, raw, queries.slice(first, first + n), candidates,
                        {scores.data(), labels.data()}, params);
        }
        rerank_dualdis(table,
                       {n, candidates, scores.data(), labels.data(), first}, k,
                       {answers.scores + first * k, answers.labels + first * k},
                       open_gates.data());
        for (idx_t i = 0; i < n; i++) {
            if (reports) {
                reports[first + i] = {open_gates[i] > 0, candidates, false};
            }
            if (open_gates[i] == 2) open.add(queries, first + i);
        }
    }
    if (open.places.empty()) return;
    search_open(base, plan, open, queries.d, k, answers, params, reports);
}

}  // namespace faiss_qbnorm
