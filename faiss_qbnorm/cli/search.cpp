#include "faiss_qbnorm/search.h"

#include <cstdio>
#include <optional>

#include "faiss_qbnorm/cli/answer_files.h"
#include "faiss_qbnorm/cli/common.h"
#include "faiss_qbnorm/cli/faiss_file.h"
#include "faiss_qbnorm/cli/validators.h"
#include "faiss_qbnorm/eval/full_ranking.h"
#include "faiss_qbnorm/index_io.h"
#include "faiss_qbnorm/io/index_file.h"
#include "faiss_qbnorm/io/table_file.h"
#include "faiss_qbnorm/io/vector_file.h"
#include "faiss_qbnorm/similarities/vector_similarities.h"

namespace faiss_qbnorm::cli {

namespace {

struct Search {
    Common common;
    VectorOptions vectors;
    std::string table;
    std::string gallery;
    std::string index;
    std::string index_parameters;
    std::string queries;
    std::string querybank;
    std::optional<float> k_factor;
    AnswerOptions answer;

    explicit Search(CLI::App& command) : common(command) {
        vectors.add_to(command);
        auto* fitted = command.add_option(
            "--table", table,
            "Table of the gallery (.qbn); a QBNorm index has its own");
        auto* source = command.add_option_group("source");
        source->add_option("--gallery", gallery, "Vectors, scanned exactly");
        auto* file = source->add_option("--index", index,
                                        "QBNorm index file (qbnorm attach), or "
                                        "FAISS index file");
        source->require_option(1);
        command
            .add_option("--querybank", querybank,
                        "Rank --gallery by gc with this bank: no table holds "
                        "what gc needs")
            ->excludes(fitted)
            ->excludes(file);
        command
            .add_option("--index-params", index_parameters,
                        "FAISS's words: nprobe=32,efSearch=64")
            ->needs(file);
        command.add_option("--queries", queries, "Queries")->required();
        command
            .add_option("--k-factor", k_factor,
                        "Candidates per answer, for indexes that are not "
                        "scanned (default: the QBNorm index's, or 10)")
            ->check(k_factor_range)
            ->needs(file);
        answer.add_to(command);
    }

    void run() {
        const std::shared_ptr<const Engine> engine = common.start(
            {table, gallery, index, queries, querybank,
             answer.prefix + ".labels.npy", answer.prefix + ".distances.npy"});
        const std::optional<NormTable> norm_table = open_table();
        const Matrix asked = common.timed("read", [&] {
            return VectorFile(queries, vectors.normalize).read();
        });
        AnswerFiles files(answer.prefix,
                          {table, gallery, index, queries, querybank},
                          asked.rows, answer.k);
        std::vector<float> distances(asked.rows * answer.k);
        std::vector<idx_t> labels(asked.rows * answer.k);
        if (!querybank.empty()) {
            search_by_gc(asked.view(), distances.data(), labels.data());
        } else if (index.empty()) {
            search_gallery(*engine, *norm_table, asked.view(), distances.data(),
                           labels.data());
        } else {
            search_index(engine, norm_table, asked.view(), distances.data(),
                         labels.data());
        }
        files.append(asked.rows, distances.data(), labels.data());
        files.commit();
        common.report["queries"] = asked.rows;
        common.report["k"] = answer.k;
        common.finish();
    }

    // Nothing where the index has its own.
    std::optional<NormTable> open_table() {
        const bool is_fitted = !index.empty() && is_index_file(index);
        require(!is_fitted || table.empty(), index,
                ": is a QBNorm index and has a table of its own; leave out "
                "--table");
        if (is_fitted || !querybank.empty()) return std::nullopt;
        if (table.empty() && !gallery.empty()) {
            throw CLI::RequiredError("--table (or, for gc, --querybank)");
        }
        require(!table.empty(), index,
                ": is no QBNorm index and needs a --table; or make it one with "
                "qbnorm attach");
        NormTable opened =
            common.timed("open", [&] { return read_verified_table(table); });
        check_metric(table, opened.metric);
        return opened;
    }

    void check_metric(const std::string& file, Metric fitted) const {
        require(fitted == metric_from_name(vectors.metric), file,
                ": was fitted with metric ", name_of(fitted),
                "; give --metric ", name_of(fitted));
    }

    void search_gallery(const Engine& engine, const NormTable& norm_table,
                        const MatrixView& asked, float* distances,
                        idx_t* labels) {
        const VectorFile items(gallery, vectors.normalize);
        require_same_d(queries, asked.d, gallery, items.d());
        naming(table + ", " + gallery, [&] {
            check_table_fits(norm_table, items.size(), items.d(),
                             norm_table.metric);
        });
        const Method method = normalization_of(norm_table).method;
        if (method == Method::dualdis) {
            search_all(items, {method, &norm_table}, asked, nullptr,
                       {distances, labels});
            return;
        }
        common.timed("search", [&] {
            exact_search(engine, items, norm_table.metric, &norm_table, method,
                         asked, answer.k, {distances, labels},
                         progress_bar("search", asked.rows));
            scores_to_distances(norm_table.metric, asked.rows * answer.k,
                                labels, distances);
        });
    }

    void search_by_gc(const MatrixView& asked, float* distances,
                      idx_t* labels) {
        const VectorFile items(gallery, vectors.normalize);
        require_same_d(queries, asked.d, gallery, items.d());
        const Matrix bank = common.timed("read", [&] {
            return VectorFile(querybank, vectors.normalize).read();
        });
        require_same_d(querybank, bank.d, gallery, items.d());
        const VectorSimilarities to_bank(metric_from_name(vectors.metric),
                                         items, bank.view(), querybank);
        search_all(items, {Method::gc, nullptr}, asked, &to_bank,
                   {distances, labels});
    }

    // By the methods whose scores no offset expresses.
    void search_all(const VectorFile& items, const TabledMethod& method,
                    const MatrixView& asked, const Similarities* bank,
                    const Answers& answers) {
        const Metric metric = metric_from_name(vectors.metric);
        const VectorSimilarities scores(metric, items, asked, queries);
        const FullRanking ranking = common.timed("search", [&] {
            const TabledMethod methods[] = {method};
            return rank_all(scores, methods, {answer.k, {}, bank}).front();
        });
        std::copy(ranking.scores.begin(), ranking.scores.end(), answers.scores);
        std::copy(ranking.labels.begin(), ranking.labels.end(), answers.labels);
        scores_to_distances(metric, asked.rows * answer.k, answers.labels,
                            answers.scores);
    }

    void search_index(const std::shared_ptr<const Engine>& engine,
                      const std::optional<NormTable>& norm_table,
                      const MatrixView& asked, float* distances,
                      idx_t* labels) {
        const auto loaded =
            common.timed("load", [&] { return read_index(index, engine); });
        require_same_d(queries, asked.d, index, static_cast<int>(loaded->d));
        if (norm_table) {
            set_parameters(*loaded, index_parameters, index);
            naming(table + ", " + index, [&] {
                IndexQBNorm wrapped(loaded.get(), engine);
                if (k_factor) wrapped.k_factor = *k_factor;
                wrapped.set_table(*norm_table);
                search_wrapped(wrapped, asked, distances, labels);
            });
            return;
        }
        IndexQBNorm& fitted = *qbnorm_in(*loaded);
        check_metric(index, fitted.metric_type == faiss::METRIC_L2
                                ? Metric::l2
                                : Metric::inner_product);
        set_parameters(*fitted.base_index, index_parameters, index);
        if (k_factor) fitted.k_factor = *k_factor;
        naming(index,
               [&] { search_wrapped(*loaded, asked, distances, labels); });
    }

    void search_wrapped(const faiss::Index& wrapped, const MatrixView& asked,
                        float* distances, idx_t* labels) {
        common.timed("search", [&] {
            const auto progress = progress_bar("search", asked.rows);
            const idx_t batch = query_batch(answer.k);
            for (idx_t first = 0; first < asked.rows; first += batch) {
                const idx_t n = std::min(batch, asked.rows - first);
                wrapped.search(n, asked.row(first), answer.k,
                               distances + first * answer.k,
                               labels + first * answer.k);
                progress(first + n);
            }
        });
    }
};

}  // namespace

void add_search(CLI::App& app) {
    add_command<Search>(app, "search",
                        "Answer queries from a gallery or a FAISS index");
}

}  // namespace faiss_qbnorm::cli
