// Oracle: rows worked out by hand, and the published metric code's numbers for
// its own example and a matrix of ties (reference_case.h). Vectors whose inner
// products are that matrix: its rows and the unit vectors.

#include "faiss_qbnorm/eval/groundtruth.h"

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/cpu/engine_cpu.h"
#include "faiss_qbnorm/eval/evaluate.h"
#include "faiss_qbnorm/fit.h"
#include "faiss_qbnorm/io/vector_file.h"
#include "tests/eval/reference_case.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

using Labels = std::vector<idx_t>;

Matrix unit_vectors(idx_t n) {
    Matrix result{std::vector<float>(n * n, 0), n, static_cast<int>(n)};
    for (idx_t i = 0; i < n; i++) result.data[i * n + i] = 1;
    return result;
}

Matrix transposed(const Matrix& m) {
    Matrix result{std::vector<float>(m.data.size()), m.d,
                  static_cast<int>(m.rows)};
    for (idx_t i = 0; i < m.rows; i++) {
        for (int j = 0; j < m.d; j++) {
            result.data[j * m.rows + i] = m.data[i * m.d + j];
        }
    }
    return result;
}

Matrix rows_at(const Matrix& m, const Labels& rows) {
    Matrix result{{}, static_cast<idx_t>(rows.size()), m.d};
    for (const idx_t row : rows) {
        const float* from = m.view().row(row);
        result.data.insert(result.data.end(), from, from + m.d);
    }
    return result;
}

// Of raw scores, which are the matrix.
RetrievalMetrics metrics_of(const Matrix& similarities,
                            const GroundTruth& truth) {
    const Matrix gallery = unit_vectors(similarities.d);
    const auto engine = make_engine_cpu();
    const NormTable table =
        fit(*engine, MemoryGallery(gallery.view()), similarities.view(), {});
    const std::vector<Method> methods{Method::none};
    return evaluate(*engine, MemoryGallery(gallery.view()), table, methods,
                    similarities.view(), truth)[0]
        .retrieval;
}

const Matrix captions{reference_case::similarities, 12, 6};
const GroundTruth video_of = contiguous_groundtruth(12, 6);

TEST(ReferenceMetrics, TextToVideo) {
    reference_case::expect_published(metrics_of(captions, video_of),
                                     reference_case::t2v);
}

TEST(ReferenceMetrics, TextToVideoMasked) {
    const Labels& kept = reference_case::unmasked;
    reference_case::expect_published(
        metrics_of(rows_at(captions, kept), rows_of(video_of, kept)),
        reference_case::t2v_masked);
}

TEST(ReferenceMetrics, VideoToText) {
    reference_case::expect_published(
        metrics_of(transposed(captions), inverted(video_of, 6)),
        reference_case::v2t);
}

TEST(ReferenceMetrics, VideoToTextMasked) {
    const Labels& kept = reference_case::unmasked;
    const GroundTruth captions_of = inverted(rows_of(video_of, kept), 6);
    EXPECT_FALSE(has_answer(captions_of.row(3)));
    reference_case::expect_published(
        metrics_of(transposed(rows_at(captions, kept)), captions_of),
        reference_case::v2t_masked);
}

TEST(ReferenceMetrics, ItsOwnExampleAndZeros) {
    const Matrix toy{reference_case::toy, 3, 3};
    const GroundTruth own = contiguous_groundtruth(3, 3);
    reference_case::expect_published(metrics_of(toy, own),
                                     reference_case::toy_published);
    reference_case::expect_published(metrics_of(toy, inverted(own, 3)),
                                     reference_case::toy_published);
    const Matrix zeros{std::vector<float>(18, 0), 6, 3};
    const GroundTruth pairs = contiguous_groundtruth(6, 3);
    reference_case::expect_published(metrics_of(zeros, pairs),
                                     reference_case::zeros_t2v);
    reference_case::expect_published(
        metrics_of(transposed(zeros), inverted(pairs, 3)),
        reference_case::zeros_v2t);
}

TEST(GroundTruth, BlocksOfQueriesForEachItem) {
    EXPECT_EQ(contiguous_groundtruth(6, 3).labels, (Labels{0, 0, 1, 1, 2, 2}));
    EXPECT_THROW_SAYING(contiguous_groundtruth(7, 3), Error, "7 queries");
    EXPECT_THROW_SAYING(contiguous_groundtruth(2, 3), Error, "3 items");
}

TEST(GroundTruth, SeenFromTheItems) {
    const GroundTruth truth{2, {0, -1, 2, 0, -1, -1, 2, 2}};
    const GroundTruth items = inverted(truth, 4);
    EXPECT_EQ(items.width, 2);
    EXPECT_EQ(items.labels, (Labels{0, 1, -1, -1, 1, 3, -1, -1}));
    EXPECT_TRUE(has_answer(truth.row(1)));
    EXPECT_FALSE(has_answer(truth.row(2)));
}

TEST(GroundTruth, IsChecked) {
    check({2, {0, -1, 3, 0}}, 2, 4);
    const auto wrong = [](const GroundTruth& truth, const char* says) {
        EXPECT_THROW_SAYING(check(truth, 2, 4), Error, says);
    };
    wrong({1, {0, 4}}, "query 1 is item 4 but the gallery has 4");
    wrong({1, {-2, 0}}, "query 0 is item -2");
    wrong({2, {0, 1, 2, 3, 0, 1}}, "6 entries for 2 queries");
    wrong({2, {0, 1, 2, 3, 0}}, "5 entries for 2 queries");
}

// Offsets can make another of the right items the best one. One bank query
// (4, 0, 0, 1): IS offsets are its scores, 4, 0 and 3.
TEST(Evaluate, TheBestRightItemOfEachRanking) {
    const Matrix gallery{{1, 0, 0, 0, 1, 0, 0.5F, 0, 1}, 3, 3};
    const Matrix bank{{4, 0, 1}, 1, 3};
    const Matrix query{{3, 1, 2}, 1, 3};  // raw 3, 1, 3.5; IS -1, 1, .5
    const auto engine = make_engine_cpu();
    const NormTable table =
        fit(*engine, MemoryGallery(gallery.view()), bank.view(), {});
    const std::vector<Method> methods{Method::is, Method::none};
    const auto ranks = [&](const Labels& right) {
        const auto reports =
            evaluate(*engine, MemoryGallery(gallery.view()), table, methods,
                     query.view(), {static_cast<idx_t>(right.size()), right});
        return std::pair{reports[0].retrieval.mean_rank,
                         reports[1].retrieval.mean_rank};
    };
    EXPECT_EQ(ranks({0, 1}), (std::pair{1.0, 2.0}));
    EXPECT_EQ(ranks({1, 0, -1}), (std::pair{1.0, 2.0}));
    EXPECT_EQ(ranks({0, 2}), (std::pair{2.0, 1.0}));
    EXPECT_EQ(ranks({-1, 0}), (std::pair{3.0, 2.0}));
    EXPECT_EQ(ranks({-1}), (std::pair{never, never}));
}

}  // namespace
