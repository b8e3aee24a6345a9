// What IndexQBNorm does to a FAISS index, on real embeddings.

#include <faiss/IndexIVF.h>
#include <faiss/index_factory.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "faiss_qbnorm/eval/metrics.h"
#include "faiss_qbnorm/io/vector_file.h"

namespace {

using faiss_qbnorm::idx_t;
using faiss_qbnorm::Matrix;
using faiss_qbnorm::VectorFile;

constexpr idx_t k = 10;

/// A gallery, its queries (query i asks for item i) and past queries.
struct Task {
    std::string title;
    Matrix gallery;
    Matrix queries;
    Matrix querybank;
    std::string factory;
    size_t nprobe;
};

Matrix read(const std::string& name) {
    return VectorFile(std::string(QBNORM_DATA_DIR) + "/" + name, true).read();
}

Matrix every_second(const Matrix& all, idx_t first) {
    Matrix half{{}, 0, all.d};
    for (idx_t i = first; i < all.rows; i += 2, half.rows++) {
        const float* row = all.view().row(i);
        half.data.insert(half.data.end(), row, row + all.d);
    }
    return half;
}

double seconds(const std::chrono::steady_clock::time_point& since) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                         since)
        .count();
}

struct Measured {
    double recall[3] = {};  ///< percent of answers in the top 1, 5, 10
    double skewness = 0;
    idx_t largest = 0;  ///< how many queries the greatest hub answers
    idx_t never = 0;    ///< items that no query finds
    double microseconds = 0;
};

Measured measure(const faiss::Index& index, const Matrix& queries) {
    std::vector<float> distances(queries.rows * k);
    std::vector<idx_t> labels(queries.rows * k);
    std::vector<double> times;
    for (int round = 0; round < 7; round++) {
        const auto start = std::chrono::steady_clock::now();
        index.search(queries.rows, queries.data.data(), k, distances.data(),
                     labels.data());
        times.push_back(seconds(start));
    }
    Measured result;
    std::nth_element(times.begin(), times.begin() + 3, times.end());
    result.microseconds = 1e6 * times[3] / static_cast<double>(queries.rows);
    for (idx_t i = 0; i < queries.rows; i++) {
        const auto begin = labels.begin() + i * k;
        const idx_t place = std::find(begin, begin + k, i) - begin;
        const idx_t limits[] = {1, 5, 10};
        for (int r = 0; r < 3; r++) {
            if (place < limits[r]) {
                result.recall[r] += 100.0 / static_cast<double>(queries.rows);
            }
        }
    }
    const auto occurrences = faiss_qbnorm::k_occurrence(labels, index.ntotal);
    result.skewness = faiss_qbnorm::k_skewness(occurrences);
    result.largest = *std::max_element(occurrences.begin(), occurrences.end());
    result.never = std::count(occurrences.begin(), occurrences.end(), 0);
    return result;
}

void print_row(const char* name, const Measured& m) {
    std::printf("  %-22s %5.1f %5.1f %5.1f %9.2f %8lld %8lld %9.1f us\n", name,
                m.recall[0], m.recall[1], m.recall[2], m.skewness,
                static_cast<long long>(m.largest),
                static_cast<long long>(m.never), m.microseconds);
}

void show(const Task& task) {
    const int d = task.gallery.d;
    const std::unique_ptr<faiss::Index> base(faiss::index_factory(
        d, task.factory.c_str(), faiss::METRIC_INNER_PRODUCT));
    base->train(task.gallery.rows, task.gallery.data.data());
    base->add(task.gallery.rows, task.gallery.data.data());
    dynamic_cast<faiss::IndexIVF&>(*base).nprobe = task.nprobe;
    const Measured before = measure(*base, task.queries);

    const auto start = std::chrono::steady_clock::now();
    faiss_qbnorm::IndexQBNorm index(base.get());
    index.set_querybank(task.querybank.rows, task.querybank.data.data());
    const double fit_seconds = seconds(start);
    const Measured after = measure(index, task.queries);

    std::printf("\n%s\n", task.title.c_str());
    std::printf(
        "  %lld items, %lld queries, d = %d; FAISS %s, nprobe %zu; "
        "querybank of %lld other queries\n\n",
        static_cast<long long>(task.gallery.rows),
        static_cast<long long>(task.queries.rows), d, task.factory.c_str(),
        task.nprobe, static_cast<long long>(task.querybank.rows));
    std::printf("  %-22s %5s %5s %5s %9s %8s %8s %12s\n", "", "R@1", "R@5",
                "R@10", "skewness", "top hub", "unfound", "per query");
    print_row("FAISS as it is", before);
    print_row("with IndexQBNorm", after);
    const double items = static_cast<double>(task.gallery.rows);
    const double queries = static_cast<double>(task.querybank.rows);
    const auto lists = index.table()->columns.front().lists.length;
    std::printf(
        "\n  fitted once in %.0f ms; searching needs %.1f KB more (4 "
        "bytes and 1 bit an item);\n  adding items later, the bank "
        "and its lists: %.0f KB\n",
        1000 * fit_seconds, items * (4 + 1.0 / 8) / 1024,
        queries * (4.0 * d + 12.0 * static_cast<double>(lists)) / 1024);
}

void run() {
    std::printf(
        "Hubs are items that come up for far too many queries. IndexQBNorm\n"
        "learns them from past queries and ranks without them (DIS, beta 20).\n"
        "R@k: percent of queries with the right item in the top k. Skewness:\n"
        "hubness of the top 10, 0 is even. Top hub: queries that the most\n"
        "frequent item comes up for. Unfound: items that come up for none.\n");
    const std::string manpages = "manpages-de-en-small/";
    show({"German questions, English manual pages",
          read(manpages + "gallery.npy"), read(manpages + "queries.npy"),
          read(manpages + "querybank.npy"), "IVF32,Flat", 16});
    const Matrix images = read("coco-clip/image.npy");
    const Matrix texts = read("coco-clip/text.npy");
    show({"Captions, photographs (COCO, CLIP ViT-B/16)",
          every_second(images, 0), every_second(texts, 0),
          every_second(texts, 1), "IVF4,Flat", 4});
    std::printf(
        "\nThe lines that did it, around any faiss::Index* base:\n\n"
        "  #include <faiss_qbnorm/IndexQBNorm.h>\n"
        "  faiss_qbnorm::IndexQBNorm index(base);\n"
        "  index.set_querybank(m, bank);  // m past queries, m x d floats\n");
}

}  // namespace

int main() {
    try {
        run();
        return 0;
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "demo: %s\n", problem.what());
        return 1;
    }
}
