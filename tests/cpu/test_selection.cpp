// Oracle: a full sort by core/formula.h's exact_score (scene.h).

#include "faiss_qbnorm/cpu/selection.h"

#include <gtest/gtest.h>
#include <omp.h>

#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/cpu/settler.h"
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

/// A block searched as a scan does it, each Selection for a slice of its tiles.
struct Search {
    const Scene& scene;
    Queries queries;
    TopLists lists[2];  ///< raw, normalised
    bool with_table;
    std::vector<Selection> selections;

    Search(const Scene& scene, const Scoring& scoring, const float* center,
           idx_t k, bool with_table)
        : scene(scene),
          queries(scoring, scene.metric, scene.query_view, center),
          lists{scene.known(k, false), scene.known(k, true)},
          with_table(with_table) {}

    void add_selection(bool shared) {
        selections.emplace_back(queries, PanelRange{0, queries.shape.panels()},
                                Wanted{lists[0], scene.exact[0]}, shared);
        if (!with_table) return;
        selections.back().add_normalised({lists[1], scene.exact[1]},
                                         scene.table.largest_offset);
    }

    idx_t height() const { return queries.shape.left_rows; }
    idx_t tiles() const { return (scene.rows() + height() - 1) / height(); }

    /// The offsets of rows [begin, end), in their order; empty without a table.
    std::vector<float> offsets_of(idx_t begin, idx_t end) const {
        std::vector<float> offsets;
        for (idx_t i = begin; with_table && i < end; i++) {
            offsets.push_back(
                scene.table.offsets[scene.block.label(i) - scene.table.begin]);
        }
        return offsets;
    }

    void run_tile(TileScorer& scorer, Selector& selector, idx_t tile) const {
        const idx_t begin = tile * height();
        const idx_t end = std::min(begin + height(), scene.rows());
        const idx_t rows = end - begin;
        const std::vector<float> of_rows = offsets_of(begin, end);
        const float* offsets = with_table ? of_rows.data() : nullptr;
        if (queries.few()) {
            const float* scores =
                scorer.score_few(scene.block.vectors, begin, end);
            selector.select_by_query({scores, rows, begin, 0}, scorer.bound(),
                                     offsets);
            return;
        }
        scorer.load(scene.block.vectors, begin, end, 0);
        for (idx_t panel = 0; panel < queries.shape.panels(); panel++) {
            selector.begin({scorer.score(panel), rows, begin, panel},
                           scorer.bound(), offsets);
            for (idx_t i = 0; i < rows; i += 11) {
                selector.look(i, std::min(i + 11, rows));
            }
            selector.end();
        }
    }

    /// One Selection that all threads feed.
    void run_shared() {
        add_selection(true);
#pragma omp parallel
        {
            TileScorer scorer(queries);
            Selector selector(selections[0]);
#pragma omp for schedule(dynamic)
            for (idx_t tile = 0; tile < tiles(); tile++) {
                run_tile(scorer, selector, tile);
            }
        }
    }

    /// A Selection for every third tile.
    void run_sliced() {
        for (idx_t slice = 0; slice < 3; slice++) add_selection(false);
#pragma omp parallel for
        for (idx_t slice = 0; slice < 3; slice++) {
            TileScorer scorer(queries);
            Selector selector(selections[slice]);
            for (idx_t tile = slice; tile < tiles(); tile += 3) {
                run_tile(scorer, selector, tile);
            }
        }
    }

    void expect_best() {
        std::vector<const Selection*> all;
        for (const Selection& selection : selections) all.push_back(&selection);
        Settler settler(scene.exact[0], with_table ? &scene.exact[1] : nullptr,
                        nullptr);
        for (idx_t query = 0; query < scene.queries.rows; query++) {
            ASSERT_TRUE(settler.settle(query, all, lists[0],
                                       with_table ? &lists[1] : nullptr));
        }
        scene.expect_best(lists[0], false);
        if (with_table) scene.expect_best(lists[1], true);
    }
};

/// By whole tiles and, of few queries, query by query.
void expect_best(const Kind& kind, const Scene& scene, idx_t k,
                 bool with_table) {
    std::vector<float> center;
    if (kind.metric == Metric::l2) center = mean_row(scene.block.vectors);
    const float* point = center.empty() ? nullptr : center.data();
    const Scoring usual{{32, 16}, kind.type, kind.blas};
    const Scoring scoring =
        scene.queries.rows <= few_queries ? usual.of_few() : usual;
    for (const bool shared : {false, true}) {
        SCOPED_TRACE(testing::Message()
                     << "k " << k << ", " << scene.earlier << " before, table "
                     << with_table << ", shared " << shared);
        Search search(scene, scoring, point, k, with_table);
        if (shared) {
            search.run_shared();
        } else {
            search.run_sliced();
        }
        search.expect_best();
        if (testing::Test::HasFatalFailure()) return;
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
