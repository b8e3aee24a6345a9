// Oracle: a full sort by core/formula.h's exact_score (scene.h).

#include "faiss_qbnorm/cpu/selection.h"

#include <gtest/gtest.h>
#include <omp.h>

#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/cpu/tile_scorer.h"
#include "tests/cpu/scene.h"

namespace {

using namespace faiss_qbnorm;
using scene::Rows;
using scene::Scene;

struct Kind {
    const char* name;
    Metric metric;
    ProductType type;
    bool blas;
};

void PrintTo(const Kind& kind, std::ostream* out) {
    *out << kind.name;
}

class Selections : public testing::TestWithParam<Kind> {
  protected:
    void SetUp() override {
        if (GetParam().type == ProductType::bf16 && !has_fast_bf16()) {
            GTEST_SKIP() << "no instructions for bf16 here";
        }
    }
};

INSTANTIATE_TEST_SUITE_P(
    Cpu, Selections,
    testing::Values(Kind{"ip", Metric::inner_product, ProductType::fp32, true},
                    Kind{"l2", Metric::l2, ProductType::fp32, true},
                    Kind{"ip_bf16", Metric::inner_product, ProductType::bf16,
                         false},
                    Kind{"l2_bf16", Metric::l2, ProductType::bf16, false}),
    [](const testing::TestParamInfo<Kind>& info) { return info.param.name; });

/// One selection, as a scan makes it.
struct Search {
    const Scene& scene;
    Queries queries;
    TopLists lists[2];  ///< raw, normalised
    bool with_table;
    Selection selection;

    Search(const Scene& scene, const Scoring& scoring, const float* center,
           idx_t k, bool with_table)
        : scene(scene),
          queries(scoring, scene.metric, scene.query_view, center),
          lists{scene.known(k, false), scene.known(k, true)},
          with_table(with_table),
          selection(with_table ? Selection(queries, scene.exact[0], lists[0],
                                           scene.exact[1], lists[1],
                                           scene.table.largest_offset)
                               : Selection(queries, scene.exact[0], lists[0])) {
    }

    idx_t height() const { return queries.shape.left_rows; }
    idx_t tiles() const { return (scene.rows() + height() - 1) / height(); }
    idx_t end_of(idx_t tile) const {
        return std::min((tile + 1) * height(), scene.rows());
    }

    /// The offsets of a tile's rows, in their order; empty without a table.
    std::vector<float> offsets_of(idx_t tile) const {
        std::vector<float> offsets;
        for (idx_t i = tile * height(); with_table && i < end_of(tile); i++) {
            offsets.push_back(
                scene.table.offsets[scene.block.label(i) - scene.table.begin]);
        }
        return offsets;
    }

    void run_tile(TileScorer& scorer, Selector& selector, idx_t tile) const {
        const idx_t begin = tile * height();
        const idx_t rows = end_of(tile) - begin;
        const std::vector<float> offsets = offsets_of(tile);
        scorer.load(scene.block.vectors, begin, begin + rows, 0);
        for (idx_t panel = 0; panel < queries.shape.panels(); panel++) {
            selector.begin({scorer.score(panel), rows, begin, panel},
                           scorer.bound(),
                           with_table ? offsets.data() : nullptr);
            for (idx_t i = 0; i < rows; i += 11) {
                selector.look(i, std::min(i + 11, rows));
            }
            selector.end();
        }
    }

    void run() {
#pragma omp parallel
        {
            TileScorer scorer(queries);
            Selector selector(selection);
#pragma omp for schedule(dynamic)
            for (idx_t tile = 0; tile < tiles(); tile++) {
                run_tile(scorer, selector, tile);
            }
        }
    }

    void run_by_query() {
#pragma omp parallel
        {
            FewQueriesScorer scorer(queries);
            Selector selector(selection);
#pragma omp for schedule(dynamic)
            for (idx_t tile = 0; tile < tiles(); tile++) {
                const idx_t begin = tile * height();
                const std::vector<float> offsets = offsets_of(tile);
                const float* scores =
                    scorer.score(scene.block.vectors, begin, end_of(tile));
                selector.select_by_query(
                    {scores, end_of(tile) - begin, begin, 0}, scorer.bound(),
                    with_table ? offsets.data() : nullptr);
            }
        }
    }

    void expect_best() {
        selection.finish(lists[0], with_table ? &lists[1] : nullptr);
        scene.expect_best(lists[0], false);
        if (with_table) scene.expect_best(lists[1], true);
    }
};

/// By whole tiles and, of few queries, query by query.
void expect_best(const Kind& kind, const Scene& scene, idx_t k,
                 bool with_table) {
    SCOPED_TRACE(testing::Message() << "k " << k << ", " << scene.earlier
                                    << " before, table " << with_table);
    std::vector<float> center;
    if (kind.metric == Metric::l2) center = mean_row(scene.block.vectors);
    const float* point = center.empty() ? nullptr : center.data();
    const Scoring scoring{{32, 16}, kind.type, kind.blas};
    if (scene.queries.rows <= few_queries) {
        Search search(scene, scoring.of_few(), point, k, with_table);
        search.run_by_query();
        search.expect_best();
    } else {
        Search search(scene, scoring, point, k, with_table);
        search.run();
        search.expect_best();
    }
}

Scene scene_of(const Kind& kind, Rows rows, idx_t queries, idx_t earlier,
               float offsets = 0.1F) {
    const int d = 19;
    return {kind.metric, scene::rows_of(rows, 300, d, 1),
            scene::rows_of(rows, queries, d, 2), earlier, offsets};
}

const std::vector<idx_t> some_k{0, 1, 3, 16, 17, 100, 400};

void expect_best_of(const Kind& kind, Rows rows, float offsets = 0.1F) {
    for (const idx_t queries : {1, 8, 37}) {
        for (const idx_t earlier : {0, 2, 150}) {
            const Scene scene = scene_of(kind, rows, queries, earlier, offsets);
            for (const idx_t k : some_k) {
                expect_best(kind, scene, k, false);
                expect_best(kind, scene, k, true);
                if (testing::Test::HasFatalFailure()) return;
            }
        }
    }
}

TEST_P(Selections, HaveTheBestOfRandomRows) {
    expect_best_of(GetParam(), Rows::gaussian);
}

TEST_P(Selections, GiveTiesToTheLowerLabel) {
    expect_best_of(GetParam(), Rows::ties);
}

TEST_P(Selections, HaveTheBestOfRowsThatRoundBadly) {
    expect_best_of(GetParam(), Rows::hard);
}

TEST_P(Selections, HaveTheBestWhereScoresOverflow) {
    expect_best_of(GetParam(), Rows::beyond);
}

TEST_P(Selections, HaveTheBestBesideOffsetsThatRoundScoresAway) {
    expect_best_of(GetParam(), Rows::gaussian, 1e8F);
}

TEST_P(Selections, DoNotDependOnTheNumberOfThreads) {
    const int before = omp_get_max_threads();
    for (const Rows rows : {Rows::gaussian, Rows::ties}) {
        for (const idx_t queries : {8, 37}) {
            const Scene scene = scene_of(GetParam(), rows, queries, 20);
            for (const int threads : {1, 2, 8}) {
                omp_set_num_threads(threads);
                for (int again = 0; again < 5; again++) {
                    expect_best(GetParam(), scene, 10, true);
                }
            }
        }
    }
    omp_set_num_threads(before);
}

}  // namespace
