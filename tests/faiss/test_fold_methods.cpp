// Oracle: method_offsets.h over the whole gallery. Every index goes through a
// file, and is FAISS's own from there on.

#include <faiss/IndexIVF.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/index_io.h>

#include <numeric>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/fold/fold.h"
#include "faiss_qbnorm/fold/search_folded.h"
#include "tests/faiss/method_scene.h"

namespace {

using namespace methods;

using Owned = std::unique_ptr<faiss::Index>;

Owned through_file(const Owned& index) {
    const TemporaryFolder folder;
    const std::string file = folder / "folded.faiss";
    faiss::write_index(index.get(), file.c_str());
    return Owned(faiss::read_index(file.c_str()));
}

/// Flat, IVF probed wholly, and an IndexRefine that is brought every item.
std::vector<Owned> exact_indexes(const NormTable& table) {
    const MemoryGallery in_memory(gallery.view());
    std::vector<Owned> result;
    result.push_back(through_file(fold(table, in_memory, "Flat")));
    result.push_back(through_file(fold(table, in_memory, "IVF8,Flat")));
    auto& pre = dynamic_cast<faiss::IndexPreTransform&>(*result.back());
    dynamic_cast<faiss::IndexIVF&>(*pre.index).nprobe = 8;
    result.push_back(through_file(fold_refine(
        table, in_memory, bases::make("SQ8", Metric::inner_product, gallery),
        items / k)));
    return result;
}

TEST(FoldMethods, RankAsThePapersDo) {
    const auto raw = oracle::similarities(Metric::inner_product, queries.view(),
                                          gallery.view());
    for (const Normalization& normalization : all(Metric::inner_product)) {
        SCOPED_TRACE(to_string(normalization));
        const NormTable table =
            fitted(gallery, Metric::inner_product, normalization);
        const auto offsets = oracle::offsets_of(
            normalization, {Metric::inner_product, gallery.view(), bank.view(),
                            gallerybank.view()});
        const double mean =
            std::accumulate(offsets.begin(), offsets.end(), 0.0) / items;
        EXPECT_NEAR(mean_offset(ranking_column(table, normalization.method)),
                    mean, 1e-5);
        for (const Owned& index : exact_indexes(table)) {
            const Found found(*index, k);
            for (idx_t i = 0; i < nq; i++) {
                SCOPED_TRACE(testing::Message() << "query " << i);
                oracle::Row scores = oracle::minus(raw[i], offsets);
                for (double& score : scores) score += mean;
                oracle::expect_ranking(scores, k, &found.distances[i * k],
                                       &found.labels[i * k], 2e-5);
            }
        }
    }
}

TEST(FoldMethods, RefuseWhatRanksByNoOffset) {
    const MemoryGallery in_memory(gallery.view());
    const auto refuse = [&](const NormTable& table, const char* text) {
        EXPECT_THROW_SAYING(fold(table, in_memory, "Flat"), Error, text);
        EXPECT_THROW_SAYING(
            fold_refine(table, in_memory,
                        bases::make("Flat", Metric::inner_product, gallery), 1),
            Error, text);
    };
    refuse(fitted(gallery, Metric::inner_product, Method::dualdis),
           "method dualdis does not fold into an index");
    refuse(fitted(gallery, Metric::inner_product, Method::none),
           "method none does not fold into an index");
    NormTable table = fitted(gallery, Metric::inner_product, Method::csls);
    table.columns[0].normalization.method = Method::gc;  // nobody fits one
    refuse(table, "method gc does not fold into an index");
    for (const Method method : {Method::csls, Method::dualis, Method::dbsn}) {
        refuse(fitted(gallery, Metric::l2, method),
               "a table of metric l2 does not fold");
    }
    table = fitted(gallery, Metric::inner_product, Method::dualis);
    table.columns.pop_back();
    refuse(table, "does not serve dualis");
}

// A set of a method that has none cannot be one of the vectors.
TEST(FoldMethods, SearchFoldedRefusesAnEmptyActivationSet) {
    const NormTable table =
        fitted(gallery, Metric::inner_product, Method::csls);
    const Owned index = fold(table, MemoryGallery(gallery.view()), "Flat");
    std::vector<float> distances(nq * k);
    std::vector<idx_t> labels(nq * k);
    EXPECT_REFUSED(
        search_folded(*index, table.columns[0].activation, nq,
                      queries.data.data(), k, distances.data(), labels.data()),
        "activation set");
}

}  // namespace
