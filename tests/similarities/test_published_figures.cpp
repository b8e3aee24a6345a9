// Oracle: the reference figures published with the data (bench/data/README.md,
// float64 over re-normalised rows), to the printed digit; those of DBSN and
// CENT are NumPy's in the same precision.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "faiss_qbnorm/eval/full_ranking.h"
#include "faiss_qbnorm/eval/metrics.h"
#include "faiss_qbnorm/fit/similarity_column.h"
#include "faiss_qbnorm/fit/sinkhorn.h"
#include "faiss_qbnorm/io/vector_file.h"
#include "faiss_qbnorm/similarities/vector_similarities.h"
#include "tests/data.h"

namespace {

using namespace faiss_qbnorm;

std::string printed(const FullRanking& ranking, idx_t items) {
    const RetrievalMetrics r = retrieval_metrics(ranking.target_ranks);
    const auto occurrences = k_occurrence(ranking.labels, items);
    char line[100];
    std::snprintf(line, sizeof line, "%.1f %.1f %.1f %g %.2f %d", r.recall_1,
                  r.recall_5, r.recall_10, r.median_rank,
                  k_skewness(occurrences),
                  static_cast<int>(*std::max_element(occurrences.begin(),
                                                     occurrences.end())));
    return line;
}

Matrix read(const std::string& name) {
    return VectorFile(testdata::real("manpages-de-en-small/" + name), true)
        .read();
}

Normalization with_betas(Method method, float beta, float beta2) {
    Normalization normalization(method);
    normalization.beta = beta;
    normalization.beta2 = beta2;
    return normalization;
}

TEST(ManpagesDeEnSmall, GivesTheReferenceFiguresOfEveryMethod) {
    const Matrix gallery_rows = read("gallery.npy");
    const Matrix query_rows = read("queries.npy");
    const Matrix bank_rows = read("querybank.npy");
    const Matrix gallerybank_rows = read("gallerybank.npy");
    const auto truth = read_labels(ArrayFile::open(
        testdata::real("manpages-de-en-small/groundtruth.npy")));
    const MemoryGallery gallery(gallery_rows.view());
    const MemoryGallery other_gallery(gallerybank_rows.view());
    constexpr Metric ip = Metric::inner_product;
    const VectorSimilarities queries(ip, gallery, query_rows.view(), "queries");
    const VectorSimilarities querybank(ip, gallery, bank_rows.view(), "bank");
    const VectorSimilarities gallerybank(ip, gallery, gallerybank_rows.view(),
                                         "gallerybank");
    const VectorSimilarities targets(ip, other_gallery, bank_rows.view(),
                                     "targets");

    Normalization nnn(Method::nnn);
    nnn.neighbours = 32;
    nnn.alpha = 1;
    struct Case {
        Normalization normalization;
        const char* figures;
    };
    const std::vector<Case> cases{
        {Method::none, "38.8 61.5 72.0 3 3.17 145"},
        {Method::gc, "49.9 72.6 80.6 2 0.73 30"},
        {Method::csls, "49.6 72.3 79.2 2 2.36 68"},
        {nnn, "52.2 73.5 80.3 1 0.93 34"},
        {with_betas(Method::is, 30, 3), "52.9 73.2 80.3 1 0.52 29"},
        {with_betas(Method::dis, 30, 3), "52.8 72.3 79.6 1 0.69 30"},
        {with_betas(Method::dis, 20, 3), "51.9 72.5 79.4 1 0.93 31"},
        {with_betas(Method::dualis, 20, 3), "51.8 73.0 80.0 1 0.90 32"},
        {with_betas(Method::dualdis, 20, 3), "51.2 72.2 79.5 1 1.05 36"},
        {Method::cent, "37.1 62.1 72.4 3 2.25 97"},
        {Method::dbsn, "51.3 72.7 78.9 1 0.93 37"},
    };
    std::vector<NormTable> tables(cases.size());
    std::vector<TabledMethod> methods;
    for (size_t i = 0; i < cases.size(); i++) {
        const Normalization& normalization = cases[i].normalization;
        const Method method = normalization.method;
        methods.push_back({method, &tables[i]});
        if (method == Method::none || method == Method::gc) continue;
        if (method != Method::dbsn) {
            tables[i] =
                fit_similarities(querybank, &gallerybank, normalization);
            continue;
        }
        const Similarities* both[] = {&querybank, &targets};
        tables[i].gallery_size = tables[i].end = gallery.size();
        tables[i].columns = {fit_column(querybank, Bank::querybank,
                                        normalization, 0,
                                        sinkhorn_log_weights(both, 100, 10))};
    }
    const auto rankings = rank_all(queries, methods, {10, truth, &querybank});
    for (size_t i = 0; i < cases.size(); i++) {
        EXPECT_EQ(printed(rankings[i], gallery.size()), cases[i].figures)
            << name_of(methods[i].method);
    }
    // Shares of open gates, by NumPy: of DualDIS at least one of two.
    const auto share = [&](size_t i) {
        const auto& open = rankings[i].open;
        return static_cast<double>(std::count(open.begin(), open.end(), 1)) /
               2000;
    };
    EXPECT_DOUBLE_EQ(share(0), 0);
    EXPECT_DOUBLE_EQ(share(1), 0);
    EXPECT_DOUBLE_EQ(share(4), 1);
    EXPECT_DOUBLE_EQ(share(5), 0.8195);
    EXPECT_DOUBLE_EQ(share(8), 1 - 0.0545);
}

}  // namespace
