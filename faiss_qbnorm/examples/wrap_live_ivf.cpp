// A service's IVF index, already filled and in use, wrapped where it stands.
// Usage: wrap_live_ivf FOLDER, with gallery.npy, queries.npy, querybank.npy

#include <faiss/IndexIVF.h>
#include <faiss/impl/IDSelector.h>
#include <faiss/index_factory.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "faiss_qbnorm/io/vector_file.h"

namespace {

using faiss_qbnorm::idx_t;
using faiss_qbnorm::Matrix;

void run(const std::string& folder) {
    const auto read = [&](const char* name) {
        return faiss_qbnorm::VectorFile(folder + "/" + name, true).read();
    };
    const Matrix gallery = read("gallery.npy");
    const Matrix queries = read("queries.npy");
    const Matrix bank = read("querybank.npy");

    // What the service has.
    const std::unique_ptr<faiss::Index> live(faiss::index_factory(
        gallery.d, "IVF32,Flat", faiss::METRIC_INNER_PRODUCT));
    live->train(gallery.rows, gallery.data.data());
    live->add(gallery.rows, gallery.data.data());

    // What it adds.
    faiss_qbnorm::IndexQBNorm index(live.get());
    index.set_querybank(bank.rows, bank.data.data());

    // Search as before, FAISS's own parameters included.
    constexpr idx_t k = 10;
    std::vector<float> distances(queries.rows * k);
    std::vector<idx_t> labels(queries.rows * k);
    faiss::SearchParametersIVF ivf;
    ivf.nprobe = 16;
    index.search(queries.rows, queries.data.data(), k, distances.data(),
                 labels.data(), &ivf);

    // Or ask one call for more: another method, and how it went.
    faiss_qbnorm::QBNormSearchStats stats;
    faiss_qbnorm::SearchParametersQBNorm params;
    params.base_index_params = &ivf;
    params.method = faiss_qbnorm::Method::dis;
    params.stats = &stats;
    index.search(queries.rows, queries.data.data(), k, distances.data(),
                 labels.data(), &params);
    std::printf("%lld of %lld queries were normalised\n",
                static_cast<long long>(stats.open_gates),
                static_cast<long long>(stats.queries));

    // Items come and go; the table follows.
    index.remove_ids(faiss::IDSelectorRange(0, 100));
    index.add(100, gallery.data.data());
    std::printf("%lld items, labels below %lld\n",
                static_cast<long long>(index.ntotal),
                static_cast<long long>(index.table()->gallery_size));
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
