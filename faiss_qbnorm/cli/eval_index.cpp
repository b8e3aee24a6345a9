#include "faiss_qbnorm/cli/eval_index.h"

#include "faiss_qbnorm/IndexQBNorm.h"
#include "faiss_qbnorm/cli/faiss_file.h"
#include "faiss_qbnorm/eval/collected.h"
#include "faiss_qbnorm/io/index_file.h"
#include "faiss_qbnorm/search.h"

namespace faiss_qbnorm::cli {

namespace {

/// The deepest recall that is reported.
constexpr idx_t answers = 50;

// As the whole ranking has it, from the answers' distances, lower first.
double rank_among(std::span<const float> keys, std::span<const idx_t> labels,
                  std::span<const idx_t> right) {
    const auto is_right = [&](idx_t label) {
        return label >= 0 &&
               std::find(right.begin(), right.end(), label) != right.end();
    };
    const auto found = std::find_if(labels.begin(), labels.end(), is_right);
    if (found == labels.end()) return never;
    const float key = keys[found - labels.begin()];
    RankCount count;
    for (size_t i = 0; i < labels.size() && labels[i] >= 0; i++) {
        count.before += keys[i] < key;
        count.level += keys[i] == key;
    }
    return mean_rank(count);
}

// A call's statistics say how many gates opened, not whose.
IndexReport search(const IndexQBNorm& index, Method method,
                   const VectorInputs& inputs) {
    const idx_t nq = inputs.queries.rows;
    const bool ascending = index.metric_type == faiss::METRIC_L2;
    Collected collected;
    QBNormSearchStats total;
    const auto progress = progress_bar("search", nq);
    const idx_t batch = query_batch(answers);
    std::vector<float> keys(batch * answers);
    std::vector<idx_t> labels(batch * answers);
    for (idx_t first = 0; first < nq; first += batch) {
        const idx_t n = std::min(batch, nq - first);
        QBNormSearchStats stats;
        SearchParametersQBNorm parameters;
        parameters.method = method;
        parameters.stats = &stats;
        index.search(n, inputs.queries.view().row(first), answers, keys.data(),
                     labels.data(), &parameters);
        total.open_gates += stats.open_gates;
        total.candidates += stats.candidates;
        for (idx_t i = 0; i < n; i++) {
            const auto row = [&](auto& values) {
                return std::span(values).subspan(i * answers, answers);
            };
            if (!ascending) {
                for (float& key : row(keys)) key = -key;
            }
            collected.add(
                rank_among(row(keys), row(labels), inputs.truth.row(first + i)),
                row(labels).first(occurrence_k), false);
        }
        progress(first + n);
    }
    IndexReport result{
        collected.report(method, inputs.gallery->size()),
        static_cast<double>(total.candidates) / static_cast<double>(nq)};
    result.report.gate_open =
        static_cast<double>(total.open_gates) / static_cast<double>(nq);
    return result;
}

}  // namespace

std::unique_ptr<faiss::Index> open_index(
    const std::shared_ptr<const Engine>& engine, const EvalOptions& options,
    const VectorInputs& inputs) {
    require(!is_index_file(options.index), options.index,
            ": is a QBNorm index, with a table of its own; give the FAISS "
            "index that it was made of");
    auto base = read_index(options.index, engine);
    require_same_d(options.queries, inputs.queries.d, options.index,
                   static_cast<int>(base->d));
    require(base->ntotal == inputs.gallery->size(), options.index, ": has ",
            base->ntotal, " vectors but ", options.gallery, " has ",
            inputs.gallery->size(), "; give an index of this gallery");
    set_parameters(*base, options.index_parameters, options.index);
    return base;
}

std::vector<IndexReport> evaluate_index(
    faiss::Index& base, const std::shared_ptr<const Engine>& engine,
    const EvalOptions& options, const MethodTables& tables,
    const VectorInputs& inputs) {
    std::vector<IndexReport> reports(tables.methods.size());
    for (size_t t = 0; t < tables.tables.size(); t++) {
        IndexQBNorm index(&base, engine);
        if (options.k_factor) index.k_factor = *options.k_factor;
        naming(options.gallery + ", " + options.index, [&] {
            index.set_table(tables.tables[t]);
            for (size_t i = 0; i < reports.size(); i++) {
                if (tables.table_of[i] != t) continue;
                reports[i] = search(index, tables.methods[i], inputs);
            }
        });
    }
    return reports;
}

}  // namespace faiss_qbnorm::cli
