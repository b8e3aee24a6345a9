// Oracle: oracle.h, the paper in double precision.

#include "faiss_qbnorm/search.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <limits>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/fit.h"
#include "faiss_qbnorm/io/vector_file.h"
#include "tests/data.h"
#include "tests/engine/engines.h"
#include "tests/oracle.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;
using engines::Cut;

class ExactSearch : public engines::OnEveryEngine {};
QBNORM_ON_EVERY_ENGINE(ExactSearch);

struct Case {
    Metric metric;
    Matrix gallery;
    Matrix queries;
    Matrix bank;
    Normalization normalization;
};

struct Found {
    std::vector<float> scores;
    std::vector<idx_t> labels;

    Found(idx_t nq, idx_t k) : scores(nq * k), labels(nq * k) {}
    Answers answers() { return {scores.data(), labels.data()}; }
    bool operator==(const Found&) const = default;
};

NormTable table_of(const Engine& engine, const Case& c) {
    FitOptions options;
    options.metric = c.metric;
    options.normalization = c.normalization;
    return fit(engine, MemoryGallery(c.gallery.view()), c.bank.view(), options);
}

Found search(const Engine& engine, const Case& c, const NormTable& table,
             Method method, idx_t k) {
    Found found(c.queries.rows, k);
    exact_search(engine, MemoryGallery(c.gallery.view()), c.metric,
                 method == Method::none ? nullptr : &table, method,
                 c.queries.view(), k, found.answers());
    return found;
}

/// Scores by the table's own offsets and bits, which test_fit.cpp holds to the
/// paper: what is left to search is exact.
oracle::Row scores_of(const oracle::Reference& reference,
                      const NormTable& table, Method method, idx_t query) {
    const BankColumn& column = table.columns[0];
    const oracle::Row offsets(column.offsets.begin(), column.offsets.end());
    std::set<idx_t> activation;
    for (idx_t i = 0; i < table.size(); i++) {
        if (column.activation.contains(i)) activation.insert(i);
    }
    return oracle::method_scores(method, reference.raw[query], offsets,
                                 activation);
}

void expect_right(const Engine& engine, const Case& c, idx_t k,
                  double tolerance) {
    const NormTable table = table_of(engine, c);
    const oracle::Reference reference(
        c.metric, c.gallery.view(), c.queries.view(), c.bank.view(),
        c.normalization.beta, c.normalization.activation_k);
    for (const Method method : {Method::none, Method::is, Method::dis}) {
        const Found found = search(engine, c, table, method, k);
        for (idx_t i = 0; i < c.queries.rows; i++) {
            SCOPED_TRACE(testing::Message()
                         << name_of(method) << " " << name_of(c.metric)
                         << ", gallery " << c.gallery.rows << " x "
                         << c.gallery.d << ", k " << k << ", query " << i);
            oracle::expect_ranking(scores_of(reference, table, method, i), k,
                                   &found.scores[i * k], &found.labels[i * k],
                                   tolerance);
        }
    }
}

constexpr Metric metrics[] = {Metric::inner_product, Metric::l2};

TEST_P(ExactSearch, RanksAsThePaperDoes) {
    const auto engine = make(Cut::small);
    for (const Metric metric : metrics) {
        for (const float beta : engines::Edges().betas) {
            const Case c{
                metric,
                testdata::unit(engines::Edges().some_items, 20, 1),
                testdata::unit(engines::Edges().some_queries / 2, 20, 2),
                testdata::unit(150, 20, 3),
                {Method::dis, beta, 2}};
            for (const idx_t k : {1, 10, 100, 500}) {
                expect_right(*engine, c, k, 2e-6);
            }
        }
    }
}

TEST_P(ExactSearch, WorksAtTheEdges) {
    const engines::Edges edges;
    const auto engine = make();
    for (const Metric metric : metrics) {
        for (const idx_t items : edges.items) {
            for (const idx_t nq : edges.queries) {
                const Case c{metric,
                             testdata::unit(items, 7, 1),
                             testdata::unit(nq, 7, 2),
                             testdata::unit(5, 7, 3),
                             {}};
                expect_right(*engine, c, 3, 2e-6);
            }
        }
    }
}

TEST_P(ExactSearch, StandsLargeAndUnevenNorms) {
    const auto engine = make(Cut::small);
    for (const Metric metric : metrics) {
        Case c{metric,
               testdata::gaussian(300, 16, 1),
               testdata::gaussian(20, 16, 2),
               testdata::gaussian(50, 16, 3),
               {Method::dis, 1e-3F, 1}};
        for (idx_t i = 0; i < 300; i += 7) {
            for (int j = 0; j < 16; j++) c.gallery.data[i * 16 + j] *= 100;
        }
        expect_right(*engine, c, 20, 0.1);  // a few ulps of 3e5
    }
}

TEST_P(ExactSearch, SurvivesProductsThatOverflowOnTheWay) {
    // The first item scores 0, but sgemm's partial sums run to -infinity.
    constexpr float x = 1.7e19F;
    Case c{Metric::inner_product,
           {std::vector<float>(32, 0), 2, 16},
           {std::vector<float>(16, x), 1, 16},
           {std::vector<float>(16, 0), 1, 16},
           {}};
    for (int j = 0; j < 16; j++) c.gallery.data[j] = j < 8 ? -x : x;
    c.gallery.data[16] = -1;
    const auto engine = make();
    const Found found =
        search(*engine, c, table_of(*engine, c), Method::none, 1);
    EXPECT_EQ(found.labels[0], 0);
    EXPECT_EQ(found.scores[0], 0);
}

TEST_P(ExactSearch, RefusesADamagedTable) {
    const Case c{Metric::inner_product,
                 testdata::unit(50, 8, 1),
                 testdata::unit(4, 8, 2),
                 testdata::unit(10, 8, 3),
                 {}};
    const auto engine = make();
    NormTable table = table_of(*engine, c);
    const auto good = table.columns[0].offsets;
    std::vector<float> offsets(good.begin(), good.end());
    offsets[7] = NAN;
    table.columns[0].offsets = offsets;
    EXPECT_THROW_SAYING(search(*engine, c, table, Method::dis, 1), Error,
                        "offset of NaN or Inf");
    offsets.pop_back();
    table.columns[0].offsets = offsets;
    EXPECT_THROW_SAYING(search(*engine, c, table, Method::dis, 1), Error,
                        "arrays are not of its size");
}

TEST_P(ExactSearch, RanksTiesByLabel) {
    // Each vector forty times over, against tiles of eight.
    const Matrix few = testdata::unit(5, 12, 4);
    Case c{Metric::inner_product,
           {},
           testdata::unit(9, 12, 5),
           testdata::unit(30, 12, 6),
           {}};
    c.gallery = {{}, 200, 12};
    for (idx_t i = 0; i < 200; i++) {
        const float* row = few.view().row(i % 5);
        c.gallery.data.insert(c.gallery.data.end(), row, row + 12);
    }
    const auto engine = make(Cut::small);
    const NormTable table = table_of(*engine, c);
    const oracle::Reference reference(c.metric, c.gallery.view(),
                                      c.queries.view(), c.bank.view(), 20, 1);
    for (const Method method : {Method::none, Method::is, Method::dis}) {
        const Found found = search(*engine, c, table, method, 50);
        for (idx_t i = 0; i < 9; i++) {
            const auto order =
                oracle::ranking(scores_of(reference, table, method, i));
            for (idx_t j = 0; j < 50; j++) {
                EXPECT_EQ(found.labels[i * 50 + j], order[j]);
            }
        }
    }
}

TEST_P(ExactSearch, ReadsPeriodicGalleries) {
    // Every tenth item answers; samples of every tenth see those or none.
    for (const int phase : {0, 3}) {
        Case c{Metric::inner_product,
               testdata::unit(600, 12, 4),
               testdata::unit(9, 12, 5),
               testdata::unit(30, 12, 6),
               {}};
        for (idx_t i = 0; i < 600; i++) {
            for (int j = 0; i % 10 != phase && j < 12; j++) {
                c.gallery.data[i * 12 + j] *= -1;
            }
        }
        expect_right(*make(Cut::small), c, 10, 2e-6);
    }
}

TEST_P(ExactSearch, DependsOnNeitherTilesThreadsNorBatch) {
    const Case c{Metric::inner_product,
                 testdata::unit(3001, 33, 1),
                 testdata::unit(130, 33, 2),
                 testdata::unit(300, 33, 3),
                 {}};
    const auto engine = make();
    const NormTable table = table_of(*engine, c);
    const Found expected = search(*engine, c, table, Method::dis, 25);

    const auto small = make(Cut::small);
    EXPECT_EQ(search(*small, c, table, Method::dis, 25), expected);

    const int before = omp_get_max_threads();
    for (const int threads : {1, 2, 7}) {
        omp_set_num_threads(threads);
        EXPECT_EQ(search(*engine, c, table, Method::dis, 25), expected);
    }
    omp_set_num_threads(before);

    for (idx_t i = 0; i < c.queries.rows; i += 43) {
        Case one = c;
        one.queries = {
            {c.queries.view().row(i), c.queries.view().row(i + 1)}, 1, 33};
        const Found found = search(*engine, one, table, Method::dis, 25);
        for (idx_t j = 0; j < 25; j++) {
            EXPECT_EQ(found.labels[j], expected.labels[i * 25 + j]);
            EXPECT_EQ(found.scores[j], expected.scores[i * 25 + j]);
        }
    }
}

TEST_P(ExactSearch, ReadsAGalleryInBlocks) {
    Case c{Metric::inner_product,
           VectorFile(testdata::real("coco-clip/image.npy"), true).read(),
           VectorFile(testdata::real("coco-clip/text.npy"), true).read(),
           VectorFile(testdata::real("coco-clip/text.npy"), true).read(),
           {}};
    c.queries.rows =
        std::min(c.queries.rows, 4 * engines::Edges().some_queries);
    c.queries.data.resize(c.queries.rows * c.queries.d);
    const auto engine = make();
    const NormTable table = table_of(*engine, c);
    const Found expected = search(*engine, c, table, Method::dis, 10);
    for (const idx_t block : engines::Edges().blocks) {
        Found found(c.queries.rows, 10);
        const VectorFile file(testdata::real("coco-clip/image.npy"), true,
                              block);
        exact_search(*engine, file, c.metric, &table, Method::dis,
                     c.queries.view(), 10, found.answers());
        EXPECT_EQ(found, expected) << "blocks of " << block;
    }
    expect_right(*engine, c, 10, 2e-6);
}

TEST_P(ExactSearch, RefusesBadInput) {
    const auto engine = make();
    Case c{Metric::inner_product,
           testdata::unit(50, 8, 1),
           testdata::unit(4, 8, 2),
           testdata::unit(10, 8, 3),
           {}};
    const NormTable table = table_of(*engine, c);
    const MemoryGallery items(c.gallery.view());
    Found found(100, 10);
    const auto refuse = [&](const Gallery& gallery, const NormTable* t,
                            Metric metric, const MatrixView& queries, idx_t k,
                            const char* text) {
        EXPECT_THROW_SAYING(
            exact_search(*engine, gallery, metric, t, Method::dis, queries, k,
                         found.answers()),
            Error, text);
    };
    const Metric ip = Metric::inner_product;
    const MatrixView queries = c.queries.view();
    refuse(items, &table, ip, queries, 0, "k is 0");
    refuse(items, nullptr, ip, queries, 1, "needs a table");
    refuse(items, &table, Metric::l2, queries, 1, "metric");
    refuse(items, &table, ip, {queries.data, 8, 4}, 1, "dimension 4");
    Matrix broken = c.queries;
    broken.data[2 * 8] = NAN;
    refuse(items, &table, ip, broken.view(), 1, "queries: row 2");
    refuse(MemoryGallery(c.gallery.view().slice(0, 49)), &table, ip, queries, 1,
           "49 items");
    Matrix swapped = c.gallery;  // the same rows in another order
    std::swap_ranges(swapped.data.begin(), swapped.data.begin() + 8,
                     swapped.data.begin() + 8);
    refuse(MemoryGallery(swapped.view()), &table, ip, queries, 1,
           "fingerprints differ");
    NormTable part = table;
    part.gallery_size = 60;
    refuse(items, &part, ip, queries, 1, "only rows 0:50 of 60");
}

TEST(ScoresToDistances, FillsEmptySlotsAsFaissDoes) {
    constexpr float largest = std::numeric_limits<float>::max();
    const idx_t labels[] = {3, -1};
    float scores[] = {-0.0F, -INFINITY};
    scores_to_distances(Metric::l2, 2, labels, scores);
    EXPECT_EQ(scores[0], 0);
    EXPECT_FALSE(std::signbit(scores[0]));
    EXPECT_EQ(scores[1], largest);
    float products[] = {0.5F, -INFINITY};
    scores_to_distances(Metric::inner_product, 2, labels, products);
    EXPECT_EQ(products[0], 0.5F);
    EXPECT_EQ(products[1], -largest);
}

}  // namespace
