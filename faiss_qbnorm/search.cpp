#include "faiss_qbnorm/search.h"

#include <algorithm>
#include <optional>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/core/parallel_errors.h"

namespace faiss_qbnorm {

idx_t query_batch(idx_t k) {
    constexpr idx_t items = (idx_t{1} << 27) / (2 * sizeof(Scored));
    constexpr idx_t fewest = 64;
    constexpr idx_t most = 16384;
    return std::clamp(items / std::max<idx_t>(k, 1), fewest, most);
}

ScanState begin_scan(idx_t nq, idx_t k, bool with_table) {
    return {TopLists(nq, k), TopLists(nq, with_table ? k : 0), {}};
}

void finish_scan(const ScanState& state, const Gate* gate, idx_t k,
                 const Answers& answers, std::uint8_t* gates) {
    ParallelErrors errors;
#pragma omp parallel for
    for (idx_t query = 0; query < state.raw.rows(); query++) {
        errors.run([&] {
            const bool open = gate && gate->opens(state.raw.best(query).label);
            if (gates) gates[query] = open;
            const TopLists& lists = open ? state.normalised : state.raw;
            answers.write(query, k, lists, query);
        });
    }
    errors.rethrow();
}

void check_table_fits(const NormTable& table, idx_t size, int d,
                      Metric metric) {
    require(table.is_whole(), "the table covers only rows ", table.begin, ":",
            table.end, " of ", table.gallery_size,
            "; join the parts with qbnorm merge");
    require(table.d == d && table.metric == metric && table.items() == size,
            "the table was fitted on ", table.items(), " items, d = ", table.d,
            ", metric ", name_of(table.metric), ", but the gallery has ", size,
            " items, d = ", d, ", metric ", name_of(metric), "; fit it again");
}

void exact_search(const Engine& engine, const Gallery& gallery, Metric metric,
                  const NormTable* table, Method method,
                  const MatrixView& queries, idx_t k, const Answers& answers,
                  const std::function<void(idx_t)>& progress) {
    require(k > 0, "k is ", k, " but must be at least 1");
    require(queries.d == gallery.d(), "the queries have dimension ", queries.d,
            " but ", gallery.name(), " has ", gallery.d());
    require(table || method == Method::none, "method ", name_of(method),
            " needs a table");
    check_finite(queries, "queries");
    require(method == Method::none || has_offset(method), "method ",
            name_of(method), " ranks by no offset");
    BankColumn column;
    std::unique_ptr<BoundTable> bound_table;
    std::optional<Gate> gate;
    if (table) {
        check_table_fits(*table, gallery.size(), gallery.d(), metric);
        column = ranking_column(*table, method);
        bound_table = engine.bind_table(*table, column);
        gate.emplace(method, column.activation);
    }

    const idx_t listed = std::min(k, gallery.size());
    const idx_t batch = query_batch(listed);
    for (idx_t first = 0; first < queries.rows; first += batch) {
        const idx_t last = std::min(first + batch, queries.rows);
        const MatrixView rows = queries.slice(first, last);
        ScanState state = begin_scan(last - first, listed, table != nullptr);
        std::uint64_t seen = 0;
        gallery.for_each_block(0, gallery.size(), [&](const GalleryBlock& b) {
            if (first == 0 && table) seen += fingerprint(b);
            engine.scan(*engine.bind_gallery(metric, b), bound_table.get(),
                        rows, state);
        });
        require(first > 0 || !table || seen == table->fingerprint,
                gallery.name(),
                " is not the gallery that the table was "
                "fitted on (their fingerprints differ); fit it again");
        finish_scan(state, gate ? &*gate : nullptr, k,
                    {answers.scores + first * k, answers.labels + first * k});
        if (progress) progress(last);
    }
}

void scores_to_distances(Metric metric, idx_t n, const idx_t* labels,
                         float* scores) {
    constexpr float largest = std::numeric_limits<float>::max();
    const bool l2 = metric == Metric::l2;
    for (idx_t i = 0; i < n; i++) {
        if (labels[i] < 0) {
            scores[i] = l2 ? largest : -largest;
        } else if (l2) {
            scores[i] = 0 - scores[i];
        }
    }
}

}  // namespace faiss_qbnorm
