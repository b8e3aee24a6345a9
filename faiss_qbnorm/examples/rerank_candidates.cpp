// Candidates that any search engine returned, normalised with a table. No
// FAISS. Usage: rerank_candidates FOLDER, with gallery.npy, queries.npy,
// querybank.npy

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "faiss_qbnorm/fit.h"
#include "faiss_qbnorm/io/vector_file.h"
#include "faiss_qbnorm/make_engine.h"

namespace {

using faiss_qbnorm::idx_t;
using faiss_qbnorm::Matrix;

/// Stands for the engine: of every query, its scores with every third item.
struct Candidates {
    std::vector<float> scores;
    std::vector<idx_t> labels;
    idx_t k = 0;

    Candidates(const Matrix& gallery, const Matrix& queries)
        : k((gallery.rows + 2) / 3) {
        for (idx_t i = 0; i < queries.rows; i++) {
            for (idx_t j = 0; j < gallery.rows; j += 3) {
                scores.push_back(faiss_qbnorm::exact_score(
                    faiss_qbnorm::Metric::inner_product, queries.view().row(i),
                    gallery.view().row(j), gallery.d));
                labels.push_back(j);
            }
        }
    }
};

void run(const std::string& folder) {
    const auto read = [&](const char* name) {
        return faiss_qbnorm::VectorFile(folder + "/" + name, true).read();
    };
    const Matrix gallery = read("gallery.npy");
    const Matrix queries = read("queries.npy");
    const Matrix bank = read("querybank.npy");

    // Once per gallery; write_table and read_table (io/table_file.h) keep it.
    const auto engine = faiss_qbnorm::make_engine();
    faiss_qbnorm::FitOptions options;
    options.normalization = {faiss_qbnorm::Method::dis, 30, 1};
    const faiss_qbnorm::NormTable table =
        fit(*engine, faiss_qbnorm::MemoryGallery(gallery.view()), bank.view(),
            options);
    const auto bound = engine->bind_table(table);

    // Scores are similarities: hand squared distances over negated.
    const Candidates given(gallery, queries);
    constexpr idx_t k = 10;
    std::vector<float> scores(queries.rows * k);
    std::vector<idx_t> labels(queries.rows * k);
    engine->rerank(
        *bound, faiss_qbnorm::Method::dis,
        {queries.rows, given.k, given.scores.data(), given.labels.data()}, k,
        {scores.data(), labels.data()});
    std::printf("the first query's best item is %lld, its score %.3f\n",
                static_cast<long long>(labels[0]), scores[0]);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        run(argc > 1 ? argv[1] : ".");
        return 0;
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "%s\n", problem.what());
        return 1;
    }
}
