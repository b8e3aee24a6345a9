// A folded index, as qbnorm fold writes it, in a service that knows FAISS only;
// and Dynamic Inverted Softmax over it, with one call of ours.
// Usage: search_folded FOLDER, with gallery.npy, queries.npy, querybank.npy

#include <faiss/index_io.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "faiss_qbnorm/fit.h"
#include "faiss_qbnorm/fold/fold.h"
#include "faiss_qbnorm/fold/search_folded.h"
#include "faiss_qbnorm/io/vector_file.h"
#include "faiss_qbnorm/make_engine.h"

namespace {

using faiss_qbnorm::idx_t;
using faiss_qbnorm::Matrix;

// How many queries find their item first: query i asks for item i.
long long right_at_1(const std::vector<idx_t>& labels, idx_t k) {
    const auto rows = static_cast<idx_t>(labels.size()) / k;
    long long right = 0;
    for (idx_t i = 0; i < rows; i++) right += labels[i * k] == i;
    return right;
}

void run(const std::string& folder) {
    const auto read = [&](const char* name) {
        return faiss_qbnorm::VectorFile(folder + "/" + name, true).read();
    };
    const Matrix gallery = read("gallery.npy");
    const Matrix queries = read("queries.npy");
    const Matrix bank = read("querybank.npy");

    // Where the index is built: qbnorm fit and qbnorm fold do this.
    faiss_qbnorm::FitOptions options;
    options.normalization = {faiss_qbnorm::Method::dis, 30, 1};
    const faiss_qbnorm::MemoryGallery items(gallery.view());
    const faiss_qbnorm::NormTable table =
        fit(*faiss_qbnorm::make_engine(), items, bank.view(), options);
    const std::string file =
        std::filesystem::temp_directory_path() / "search_folded.faiss";
    faiss::write_index(faiss_qbnorm::fold(table, items, "Flat").get(),
                       file.c_str());

    // In the service: FAISS's own reading and searching, every query
    // normalised.
    const std::unique_ptr<faiss::Index> index(faiss::read_index(file.c_str()));
    constexpr idx_t k = 10;
    std::vector<float> distances(queries.rows * k);
    std::vector<idx_t> labels(queries.rows * k);
    index->search(queries.rows, queries.data.data(), k, distances.data(),
                  labels.data());
    std::printf("IS: %lld right\n", right_at_1(labels, k));

    // With this library: only where the raw top-1 is in the activation set.
    faiss_qbnorm::search_folded(*index, table.columns[0].activation,
                                queries.rows, queries.data.data(), k,
                                distances.data(), labels.data());
    std::printf("DIS: %lld right\n", right_at_1(labels, k));
    std::filesystem::remove(file);
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
