// Oracle: the reference figures published with the data (bench/data/README.md,
// float64 over re-normalised rows), to the printed digit.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <numeric>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/cpu/engine_cpu.h"
#include "faiss_qbnorm/eval/evaluate.h"
#include "faiss_qbnorm/fit.h"
#include "faiss_qbnorm/io/vector_file.h"
#include "tests/data.h"
#include "tests/oracle.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

std::string printed(const MethodReport& report) {
    const RetrievalMetrics& r = report.retrieval;
    char line[100];
    std::snprintf(line, sizeof line, "%.1f %.1f %.1f %g %.2f %d", r.recall_1,
                  r.recall_5, r.recall_10, r.median_rank,
                  report.hubness.skewness,
                  static_cast<int>(report.hubness.max_occurrence));
    return line;
}

std::vector<MethodReport> evaluate_small(float beta,
                                         const std::vector<Method>& methods) {
    const std::string folder = testdata::real("manpages-de-en-small/");
    const VectorFile gallery(folder + "gallery.npy", true);
    const Matrix queries = VectorFile(folder + "queries.npy", true).read();
    const Matrix bank = VectorFile(folder + "querybank.npy", true).read();
    const auto truth = read_labels(ArrayFile::open(folder + "groundtruth.npy"));
    const auto engine = make_engine_cpu();
    FitOptions options;
    options.normalization.beta = beta;
    const NormTable table = fit(*engine, gallery, bank.view(), options);
    return evaluate(*engine, gallery, table, methods, queries.view(),
                    {1, truth});
}

TEST(ManpagesDeEnSmall, GivesTheReferenceFigures) {
    const auto at_30 =
        evaluate_small(30, {Method::none, Method::is, Method::dis});
    EXPECT_EQ(printed(at_30[0]), "38.8 61.5 72.0 3 3.17 145");
    EXPECT_EQ(printed(at_30[1]), "52.9 73.2 80.3 1 0.52 29");
    EXPECT_EQ(printed(at_30[2]), "52.8 72.3 79.6 1 0.69 30");
    const auto at_20 = evaluate_small(20, {Method::dis});
    EXPECT_EQ(printed(at_20[0]), "51.9 72.5 79.4 1 0.93 31");
    EXPECT_EQ(at_30[0].gate_open, 0);
    EXPECT_EQ(at_30[1].gate_open, 1);
    EXPECT_DOUBLE_EQ(at_30[2].gate_open, 0.8195);  // float64 NumPy
}

// Item-disjoint: even rows are gallery and queries, odd rows' texts the bank.
// Oracle: oracle.h, ranks by counting.
TEST(CocoClip, AgreesWithTheOracleOnEveryRank) {
    const auto half = [](const char* name, idx_t first) {
        const Matrix all =
            VectorFile(testdata::real(std::string("coco-clip/") + name), true)
                .read();
        Matrix result{{}, 0, all.d};
        for (idx_t i = first; i < all.rows; i += 2) {
            const float* row = all.view().row(i);
            result.data.insert(result.data.end(), row, row + all.d);
            result.rows++;
        }
        return result;
    };
    const Matrix gallery = half("image.npy", 0);
    const Matrix queries = half("text.npy", 0);
    const Matrix bank = half("text.npy", 1);
    std::vector<idx_t> truth(queries.rows);
    std::iota(truth.begin(), truth.end(), 0);
    const auto engine = make_engine_cpu();
    const NormTable table =
        fit(*engine, MemoryGallery(gallery.view()), bank.view(), {});
    const oracle::Reference reference(Metric::inner_product, gallery.view(),
                                      queries.view(), bank.view(), 20, 1);
    const std::vector<Method> methods{Method::none, Method::is, Method::dis};
    const auto reports = evaluate(*engine, MemoryGallery(gallery.view()), table,
                                  methods, queries.view(), {1, truth});
    for (const MethodReport& report : reports) {
        double mean_rank = 0;
        double found = 0;
        for (idx_t i = 0; i < queries.rows; i++) {
            const auto scores = reference.scores(report.method, i);
            double rank = 1;
            for (const double score : scores) rank += score > scores[i];
            mean_rank += rank / static_cast<double>(queries.rows);
            found += rank == 1;
        }
        EXPECT_NEAR(report.retrieval.mean_rank, mean_rank, 1e-9);
        EXPECT_NEAR(report.retrieval.recall_1,
                    100 * found / static_cast<double>(queries.rows), 1e-9);
    }
    EXPECT_GT(reports[2].retrieval.recall_1, reports[0].retrieval.recall_1);
}

TEST(Evaluate, AveragesTheRanksOfTies) {
    // Items 0, 1 and 2 are the same; the right one is level with two others:
    // mean position 1 of 0, 1, 2. Item 3 of query 1 is alone in front.
    const Matrix gallery{{1, 0, 1, 0, 1, 0, 0, 1}, 4, 2};
    const Matrix queries{{1, 0, 0, 1}, 2, 2};
    const auto engine = make_engine_cpu();
    const NormTable table =
        fit(*engine, MemoryGallery(gallery.view()), queries.view(), {});
    const std::vector<Method> methods{Method::none};
    const std::vector<idx_t> truth{1, 3};
    const auto reports = evaluate(*engine, MemoryGallery(gallery.view()), table,
                                  methods, queries.view(), {1, truth});
    EXPECT_DOUBLE_EQ(reports[0].retrieval.mean_rank, 1 + (1.0 + 0.0) / 2);
    EXPECT_DOUBLE_EQ(reports[0].retrieval.recall_1, 50);

    const std::vector<idx_t> outside{1, 4};
    EXPECT_THROW_SAYING(evaluate(*engine, MemoryGallery(gallery.view()), table,
                                 methods, queries.view(), {1, outside}),
                        Error, "query 1 is item 4");
    const std::vector<idx_t> shorter{1};
    EXPECT_THROW_SAYING(evaluate(*engine, MemoryGallery(gallery.view()), table,
                                 methods, queries.view(), {1, shorter}),
                        Error, "1 entries for 2 queries");
}

}  // namespace
