#include "bench/cpu/ivf.h"

#include <faiss/Clustering.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexScalarQuantizer.h>

#include <limits>

#include "bench/cpu/batch.h"
#include "bench/cpu/benchmarks.h"
#include "faiss_qbnorm/IndexQBNorm.h"

namespace bench {

using namespace faiss_qbnorm;

namespace {

constexpr int rounds_of_k_means = 4;
constexpr idx_t k = 10;
constexpr double tolerance = 1e-5;  ///< of FAISS's float sums

/// The IVF bases, over one quantizer.
struct Bases {
    std::unique_ptr<faiss::IndexFlatIP> quantizer;
    int d;
    size_t lists;

    std::unique_ptr<faiss::IndexIVF> flat() const {
        return std::make_unique<faiss::IndexIVFFlat>(
            quantizer.get(), d, lists, faiss::METRIC_INNER_PRODUCT);
    }

    std::unique_ptr<faiss::IndexIVF> sq8() const {
        return std::make_unique<faiss::IndexIVFScalarQuantizer>(
            quantizer.get(), d, lists, faiss::ScalarQuantizer::QT_8bit,
            faiss::METRIC_INNER_PRODUCT);
    }

    std::unique_ptr<faiss::IndexIVF> pq32() const {
        auto ivf = std::make_unique<faiss::IndexIVFPQ>(
            quantizer.get(), d, lists, 32, 8, faiss::METRIC_INNER_PRODUCT);
        ivf->pq.cp.niter = rounds_of_k_means;
        ivf->pq.cp.min_points_per_centroid = 1;
        return ivf;
    }
};

void search_over(const Setup& setup, const std::string& name,
                 faiss::IndexIVF& base, const MatrixView& gallery) {
    base.train(setup.ivf_sample, gallery.data);
    base.add(gallery.rows, gallery.data);
    base.nprobe = setup.ivf_nprobe;
    const Vectors bank(setup.small_bank, gallery.d, 4);
    IndexQBNorm index(&base);
    index.set_querybank(bank.view().rows, bank.view().data, gallery.data);
    for (const idx_t nq : setup.ivf_queries) {
        Batch batch(nq, gallery.d, k);
        batch.verify(index, probed_products(base, batch.queries()), tolerance);
        const auto measured = race({batch.contender("IndexQBNorm", index),
                                    batch.contender("the bare base", base)});
        print({"ivf",
               {{"base", name},
                {"d", gallery.d},
                {"items", gallery.rows},
                {"nprobe", base.nprobe},
                {"nq", nq},
                {"k", k}},
               "queries/s",
               measured[0],
               {measured[1]},
               {}});
    }
}

}  // namespace

std::unique_ptr<faiss::IndexFlatIP> coarse_quantizer(const MatrixView& sample,
                                                     idx_t lists) {
    auto quantizer = std::make_unique<faiss::IndexFlatIP>(sample.d);
    faiss::ClusteringParameters parameters;
    parameters.niter = rounds_of_k_means;
    parameters.spherical = true;  // as FAISS does it for inner products
    parameters.min_points_per_centroid = 1;
    faiss::Clustering clustering(sample.d, static_cast<int>(lists), parameters);
    clustering.train(sample.rows, sample.data, *quantizer);
    return quantizer;
}

RawScores probed_products(const faiss::IndexIVF& ivf,
                          const MatrixView& queries) {
    const auto nprobe = static_cast<idx_t>(ivf.nprobe);
    std::vector<idx_t> lists(queries.rows * nprobe);
    std::vector<float> distances(lists.size());
    ivf.quantizer->search(queries.rows, queries.data, nprobe, distances.data(),
                          lists.data());
    return [&ivf, queries, nprobe, lists](idx_t query) {
        std::vector<double> scores(ivf.ntotal,
                                   -std::numeric_limits<double>::infinity());
        std::vector<float> vector(queries.d);
        for (idx_t i = query * nprobe; i < (query + 1) * nprobe; i++) {
            if (lists[i] < 0) continue;
            const faiss::InvertedLists::ScopedIds ids(ivf.invlists, lists[i]);
            const auto size =
                static_cast<idx_t>(ivf.invlists->list_size(lists[i]));
            for (idx_t j = 0; j < size; j++) {
                ivf.reconstruct_from_offset(lists[i], j, vector.data());
                scores[ids[j]] =
                    product(queries.row(query), vector.data(), queries.d);
            }
        }
        return scores;
    };
}

void bench_ivf(const Setup& setup) {
    const Vectors gallery(setup.ivf_items, setup.d, 1);
    const Bases bases{
        coarse_quantizer(gallery.view().slice(0, setup.ivf_sample),
                         setup.ivf_lists),
        setup.d, static_cast<size_t>(setup.ivf_lists)};
    const std::string lists = "IVF" + std::to_string(setup.ivf_lists) + ",";
    search_over(setup, lists + "Flat", *bases.flat(), gallery.view());
    search_over(setup, lists + "SQ8", *bases.sq8(), gallery.view());
    search_over(setup, lists + "PQ32", *bases.pq32(), gallery.view());
}

}  // namespace bench
