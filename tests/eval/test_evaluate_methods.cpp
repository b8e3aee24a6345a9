// Oracle: oracle.h and methods_oracle.h, each method's formula in double, and
// ranks by counting.

#include <numeric>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/cpu/engine_cpu.h"
#include "faiss_qbnorm/eval/evaluate.h"
#include "faiss_qbnorm/fit/similarity_column.h"
#include "faiss_qbnorm/similarities/matrix_similarities.h"
#include "faiss_qbnorm/similarities/some_similarities.h"
#include "tests/data.h"
#include "tests/methods_oracle.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

constexpr idx_t items = 300;
constexpr idx_t asked = 80;

struct Scene {
    Matrix gallery = testdata::unit(items, 16, 1);
    Matrix queries = testdata::unit(asked, 16, 2);
    Matrix querybank = testdata::unit(200, 16, 3);
    Matrix gallerybank = testdata::unit(150, 16, 4);
    MemoryGallery searched{gallery.view()};
    Banks banks{querybank.view(), gallerybank.view()};
    GroundTruth truth{2, {}};

    Scene() {
        for (idx_t i = 0; i < asked; i++) {
            truth.labels.push_back(i);
            truth.labels.push_back(i % 3 == 0 ? -1 : (i * 7) % items);
        }
    }

    static oracle::Rows scores(const Matrix& a, const Matrix& b) {
        return oracle::similarities(Metric::inner_product, a.view(), b.view());
    }
};

std::vector<Normalization> all_at_defaults() {
    std::vector<Normalization> result;
    for (const Method method : all_methods()) result.emplace_back(method);
    return result;
}

oracle::Row offsets_of(Method method, const oracle::Rows& probe,
                       const oracle::Rows& second,
                       const oracle::Rows& bank_to_bank) {
    switch (method) {
        case Method::csls:
            return oracle::csls_offsets(probe, 10);
        case Method::nnn:
            return oracle::nnn_offsets(probe, 128, 0.75);
        case Method::cent:
            return oracle::cent_offsets(probe);
        case Method::dualis:
            return oracle::dualis_offsets(oracle::is_offsets(probe, 20), 20,
                                          oracle::is_offsets(second, 3), 3);
        case Method::dbsn: {
            oracle::Rows targets = probe;
            for (size_t i = 0; i < bank_to_bank.size(); i++) {
                targets[i].insert(targets[i].end(), bank_to_bank[i].begin(),
                                  bank_to_bank[i].end());
            }
            return oracle::dbsn_offsets(oracle::sinkhorn(targets, 100, 10),
                                        items, 100);
        }
        default:
            return oracle::is_offsets(probe, 20);
    }
}

struct Expected {
    oracle::WideRows scores;
    double open = 0;
};

// Matrices do not say how the banks score each other, so that dbsn learns from
// the gallery alone.
enum class Given { vectors, matrices };

Expected expected_of(Method method, const Scene& scene, Given given) {
    const oracle::Rows raw = Scene::scores(scene.queries, scene.gallery);
    const oracle::Rows probe = Scene::scores(scene.querybank, scene.gallery);
    const oracle::Rows second = Scene::scores(scene.gallerybank, scene.gallery);
    const oracle::Row offsets =
        offsets_of(method, probe, second,
                   given == Given::vectors
                       ? Scene::scores(scene.querybank, scene.gallerybank)
                       : oracle::Rows{});
    const auto first_set = oracle::activation_set(probe, 1);
    const auto second_set = oracle::activation_set(second, 1);
    Expected result;
    for (const oracle::Row& row : raw) {
        const idx_t top = oracle::ranking(row)[0];
        const bool one = first_set.contains(top);
        const bool two = second_set.contains(top);
        oracle::WideRow scores(row.begin(), row.end());
        bool open = method != Method::none;
        if (method == Method::dis) open = one;
        if (method == Method::dualdis) {
            open = one || two;
            scores = oracle::dualdis_scores(
                row, offsets, 20, one, oracle::is_offsets(second, 3), 3, two);
        } else if (method == Method::gc) {
            const oracle::Row corrected = oracle::gc_scores(row, probe);
            scores.assign(corrected.begin(), corrected.end());
        } else if (open) {
            for (size_t j = 0; j < row.size(); j++) scores[j] -= offsets[j];
        }
        result.scores.push_back(scores);
        result.open += open;
    }
    return result;
}

std::vector<idx_t> top_ten(const oracle::WideRow& scores) {
    std::vector<idx_t> labels(scores.size());
    std::iota(labels.begin(), labels.end(), 0);
    std::stable_sort(labels.begin(), labels.end(),
                     [&](idx_t a, idx_t b) { return scores[a] > scores[b]; });
    labels.resize(10);
    return labels;
}

void expect(const std::vector<MethodReport>& reports, const Scene& scene,
            Given given) {
    ASSERT_EQ(reports.size(), all_methods().size());
    for (size_t m = 0; m < reports.size(); m++) {
        const MethodReport& report = reports[m];
        SCOPED_TRACE(name_of(report.method));
        EXPECT_EQ(report.method, all_methods()[m]);
        const Expected expected = expected_of(report.method, scene, given);
        double sum = 0;
        std::vector<idx_t> counts(items, 0);
        for (idx_t i = 0; i < asked; i++) {
            std::vector<idx_t> right;
            for (const idx_t label : scene.truth.row(i)) {
                if (label >= 0) right.push_back(label);
            }
            sum += 1 + oracle::rank_of(expected.scores[i], right);
            for (const idx_t label : top_ten(expected.scores[i])) {
                counts[label]++;
            }
        }
        EXPECT_NEAR(report.retrieval.mean_rank, sum / asked, 1e-9);
        EXPECT_EQ(report.hubness.occurrences, counts);
        EXPECT_NEAR(report.gate_open, expected.open / asked, 1e-9);
    }
}

TEST(EvaluateMethods, AllFromVectors) {
    const Scene scene;
    const auto engine = make_engine_cpu();
    const MethodTables tables =
        fit_methods(all_at_defaults(), [&](const Normalization& one) {
            FitOptions options;
            options.normalization = one;
            return fit(*engine, scene.searched, scene.banks, options);
        });
    expect(evaluate(*engine, scene.searched, scene.banks, tables,
                    scene.queries.view(), scene.truth),
           scene, Given::vectors);
    // cent, csls, nnn, dbsn; one for the Inverted Softmaxes together.
    EXPECT_EQ(tables.tables.size(), 5U);
    const oracle::Rows probe = Scene::scores(scene.querybank, scene.gallery);
    const std::vector<idx_t> first = tables.bank_first();
    ASSERT_EQ(first.size(), probe.size());
    for (size_t i = 0; i < probe.size(); i++) {
        EXPECT_EQ(first[i], oracle::ranking(probe[i])[0]);
    }
}

Matrix singles(const oracle::Rows& rows) {
    Matrix result{{},
                  static_cast<idx_t>(rows.size()),
                  static_cast<int>(rows.front().size())};
    for (const oracle::Row& row : rows) {
        for (const double s : row) result.data.push_back(static_cast<float>(s));
    }
    return result;
}

TEST(EvaluateMethods, AllFromMatrices) {
    const Scene scene;
    const Matrix s = singles(Scene::scores(scene.queries, scene.gallery));
    const Matrix p = singles(Scene::scores(scene.querybank, scene.gallery));
    const Matrix g = singles(Scene::scores(scene.gallerybank, scene.gallery));
    const MatrixSimilarities queries(s.view(), "s");
    const MatrixSimilarities querybank(p.view(), "p");
    const MatrixSimilarities gallerybank(g.view(), "g");
    const MethodTables tables =
        fit_methods(all_at_defaults(), [&](const Normalization& one) {
            return fit_similarities(querybank, &gallerybank, one);
        });
    expect(evaluate(queries, querybank, tables, scene.truth), scene,
           Given::matrices);
}

TEST(MethodTables, AreFittedOnceForSharedColumns) {
    std::vector<Method> fitted;
    const auto fit_none = [&](const Normalization& one) {
        fitted.push_back(one.method);
        return NormTable{};
    };
    const auto tables_of = [&](const std::vector<Normalization>& asked_for) {
        fitted.clear();
        return fit_methods(asked_for, fit_none).table_of;
    };
    using Numbers = std::vector<size_t>;
    using Methods = std::vector<Method>;
    EXPECT_EQ(tables_of({Method::none, Method::is, Method::dis}),
              (Numbers{0, 0, 0}));
    EXPECT_EQ(fitted, (Methods{Method::is}));
    EXPECT_EQ(tables_of({Method::dis, Method::dualdis, Method::gc}),
              (Numbers{0, 0, 0}));
    EXPECT_EQ(fitted, (Methods{Method::dualdis}));
    // Bank lists come with the Inverted Softmax only.
    EXPECT_EQ(tables_of({Method::csls, Method::none}), (Numbers{1, 0}));
    EXPECT_EQ(fitted, (Methods{Method::dis, Method::csls}));
    EXPECT_EQ(tables_of({{Method::is, 20, 1}, {Method::is, 30, 1}}),
              (Numbers{0, 1}));
    EXPECT_EQ(fitted, (Methods{Method::is, Method::is}));
}

TEST(SomeSimilarities, AreThoseOfTheRowsAndItemsKept) {
    const Matrix whole{
        {0, 1, 2, 3, 4, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24}, 3, 5};
    const MatrixSimilarities all(whole.view(), "all");
    const SomeRows rows(all, {0, 2});
    std::vector<float> read(4);
    rows.read(1, 3, read.data());
    EXPECT_EQ(read, (std::vector<float>{1, 21, 2, 22}));
    EXPECT_EQ(rows.rows(), 2);
    EXPECT_EQ(rows.items(), 5);
    const SomeItems some(all, {0, 1, 3, 4});
    read.resize(9);
    some.read(1, 4, read.data());
    EXPECT_EQ(read, (std::vector<float>{1, 11, 21, 3, 13, 23, 4, 14, 24}));
    EXPECT_EQ(some.rows(), 3);
    EXPECT_EQ(some.items(), 4);
}

}  // namespace
