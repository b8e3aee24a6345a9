#include "faiss_qbnorm/search.h"

#include <faiss/AutoTune.h>
#include <faiss/impl/FaissException.h>
#include <faiss/index_io.h>

#include <cstdio>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "faiss_qbnorm/cli/answer_files.h"
#include "faiss_qbnorm/cli/common.h"
#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/io/table_file.h"
#include "faiss_qbnorm/io/vector_file.h"

namespace faiss_qbnorm::cli {

namespace {

std::unique_ptr<faiss::Index> read_faiss(const std::string& path,
                                         const std::string& parameters) {
    MappedFile::open(path);  // says why, where it cannot be opened
    try {
        std::unique_ptr<faiss::Index> index(faiss::read_index(path.c_str()));
        if (!parameters.empty()) {
            faiss::ParameterSpace().set_index_parameters(index.get(),
                                                         parameters.c_str());
        }
        return index;
    } catch (const faiss::FaissException& problem) {
        fail(path, ": FAISS refuses it: ", problem.what());
    }
}

struct Search {
    Common common;
    VectorOptions vectors;
    std::string table;
    std::string gallery;
    std::string index;
    std::string index_parameters;
    std::string queries;
    idx_t k = 10;
    float k_factor = 10;
    std::string prefix;

    explicit Search(CLI::App& command) : common(command) {
        vectors.add_to(command);
        command.add_option("--table", table, "Table of the gallery (.qbn)")
            ->required();
        auto* source = command.add_option_group("source");
        source->add_option("--gallery", gallery, "Vectors, scanned exactly");
        auto* file = source->add_option("--index", index, "FAISS index file");
        source->require_option(1);
        command
            .add_option("--index-params", index_parameters,
                        "FAISS's words: nprobe=32,efSearch=64")
            ->needs(file);
        command.add_option("--queries", queries, "Queries")->required();
        command.add_option("-k", k, "Answers per query")
            ->check(CLI::PositiveNumber)
            ->capture_default_str();
        command
            .add_option("--k-factor", k_factor,
                        "Candidates per answer, for indexes that are not "
                        "scanned")
            ->check(CLI::Range(1.0F, 1e9F))
            ->needs(file)
            ->capture_default_str();
        command
            .add_option("-o,--output", prefix,
                        "Writes PREFIX.distances.npy and PREFIX.labels.npy")
            ->required();
    }

    void run() {
        const auto engine = common.start();
        const NormTable norm_table = common.timed("open", [&] {
            return read_table(table);
        });
        const Metric metric = metric_from_name(vectors.metric);
        require(norm_table.metric == metric, table, ": was fitted with metric ",
                name_of(norm_table.metric), "; give --metric ",
                name_of(norm_table.metric));
        const Matrix asked = common.timed("read", [&] {
            return VectorFile(queries, vectors.normalize).read();
        });
        AnswerFiles files(prefix, asked.rows, k);
        std::vector<float> distances(asked.rows * k);
        std::vector<idx_t> labels(asked.rows * k);
        if (index.empty()) {
            search_gallery(*engine, norm_table, asked.view(),
                           distances.data(), labels.data());
        } else {
            search_index(norm_table, asked.view(), distances.data(),
                         labels.data());
        }
        files.append(asked.rows, distances.data(), labels.data());
        files.commit();
        common.report["queries"] = asked.rows;
        common.report["k"] = k;
        common.finish();
    }

    void search_gallery(const Engine& engine, const NormTable& norm_table,
                        const MatrixView& asked, float* distances,
                        idx_t* labels) {
        const VectorFile items(gallery, vectors.normalize);
        const Method method =
            column_of(norm_table, Bank::querybank).normalization.method;
        common.timed("search", [&] {
            exact_search(engine, items, norm_table.metric, &norm_table, method,
                         asked, k, {distances, labels},
                         progress_bar("search", asked.rows));
            scores_to_distances(norm_table.metric, asked.rows * k, labels,
                                distances);
        });
    }

    void search_index(const NormTable& norm_table, const MatrixView& asked,
                      float* distances, idx_t* labels) {
        const auto base = common.timed(
            "load", [&] { return read_faiss(index, index_parameters); });
        IndexQBNorm wrapped(base.get());
        wrapped.k_factor = k_factor;
        wrapped.set_table(norm_table);
        require(asked.d == wrapped.d, queries, ": has dimension ", asked.d,
                " but ", index, " has ", wrapped.d);
        common.timed("search", [&] {
            const auto progress = progress_bar("search", asked.rows);
            const idx_t batch = query_batch(k);
            for (idx_t first = 0; first < asked.rows; first += batch) {
                const idx_t n = std::min(batch, asked.rows - first);
                wrapped.search(n, asked.row(first), k, distances + first * k,
                               labels + first * k);
                progress(first + n);
            }
        });
    }
};

}  // namespace

void add_search(CLI::App& app) {
    CLI::App* command = app.add_subcommand(
        "search", "Answer queries from a gallery or a FAISS index");
    const auto search = std::make_shared<Search>(*command);
    command->callback([search] { search->run(); });
}

}  // namespace faiss_qbnorm::cli
