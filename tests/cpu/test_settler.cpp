// Oracle: a full sort by core/formula.h's exact_score (scene.h).

#include "faiss_qbnorm/cpu/settler.h"

#include <gtest/gtest.h>

#include <limits>

#include "faiss_qbnorm/cpu/tile_scorer.h"
#include "tests/cpu/scene.h"

namespace {

using namespace faiss_qbnorm;
using scene::Rows;
using scene::Scene;

constexpr int d = 12;

/// A block searched with a guess from its first tiles, in some slices.
struct Search {
    const Scene& scene;
    Queries queries;
    TopLists known[2];
    std::vector<Selection> selections;

    Search(const Scene& scene, idx_t k, idx_t slices, idx_t sample_tiles)
        : scene(scene),
          queries({{32, 16}}, scene.metric, scene.query_view, nullptr),
          known{scene.known(k, false), scene.known(k, true)} {
        const idx_t tiles = scene.rows() / queries.shape.left_rows;
        for (idx_t slice = 0; slice < slices; slice++) {
            selections.emplace_back(queries,
                                    PanelRange{0, queries.shape.panels()},
                                    Wanted{known[0], scene.exact[0]}, false);
            Selection& selection = selections.back();
            selection.add_normalised({known[1], scene.exact[1]},
                                     scene.table.largest_offset);
            fill(selection, slice * tiles / slices,
                 (slice + 1) * tiles / slices, sample_tiles);
        }
    }

    /// Offers tiles [first, last), after a guess from the first of them.
    void fill(Selection& selection, idx_t first, idx_t last, idx_t sample) {
        TileScorer scorer(queries);
        Selector selector(selection);
        if (sample > 0) {
            selection.aim_at_sample(
                static_cast<double>(sample * queries.shape.left_rows) /
                static_cast<double>(scene.rows()));
        }
        for (idx_t tile = first; tile < last; tile++) {
            if (sample > 0 && tile == first + sample) {
                selection.guess({0, queries.shape.panels()});
                selection.aim_at_sample(1);
            }
            offer(scorer, selector, tile);
        }
    }

    void offer(TileScorer& scorer, Selector& selector, idx_t tile) {
        const idx_t rows = queries.shape.left_rows;
        const idx_t begin = tile * rows;
        std::vector<float> offsets;
        for (idx_t i = begin; i < begin + rows; i++) {
            offsets.push_back(
                scene.table.offsets[scene.block.label(i) - scene.table.begin]);
        }
        scorer.load(scene.block.vectors, begin, begin + rows, 0);
        for (idx_t panel = 0; panel < queries.shape.panels(); panel++) {
            selector.begin({scorer.score(panel), rows, begin, panel},
                           scorer.bound(), offsets.data());
            selector.look(0, rows);
            selector.end();
        }
    }

    std::vector<const Selection*> all() const {
        std::vector<const Selection*> result;
        for (const Selection& selection : selections) {
            result.push_back(&selection);
        }
        return result;
    }
};

Scene scene_of(Rows kind, idx_t rows, idx_t earlier) {
    return {Metric::inner_product, scene::rows_of(kind, rows, d, 1),
            scene::rows_of(kind, 20, d, 2), earlier};
}

/// Expects a list to be as it was or to have the best k, as settle said.
void expect_settled(const Scene& scene, idx_t query, bool settled,
                    const TopLists& before, const TopLists& after,
                    bool normalised, idx_t k) {
    if (!settled) {
        ASSERT_EQ(after.sorted(query).size(), before.sorted(query).size());
        return;
    }
    const std::vector<Scored> right = scene.sorted(query, normalised);
    const std::vector<Scored> got = after.sorted(query);
    ASSERT_GE(got.size(), std::min<size_t>(k, right.size()));
    const auto size = static_cast<idx_t>(got.size());
    for (idx_t i = 0; i < std::min(k, size); i++) {
        ASSERT_EQ(got[i].label, right[i].label)
            << "query " << query << ", slot " << i << ", normalised "
            << normalised;
        ASSERT_EQ(got[i].score, right[i].score);
    }
}

/// Settles every query without a gate; says how many could be.
idx_t settle_all(const Search& search, idx_t k) {
    const Scene& scene = search.scene;
    TopLists lists[2] = {search.known[0], search.known[1]};
    Settler settler(scene.exact[0], &scene.exact[1], nullptr);
    idx_t count = 0;
    for (idx_t query = 0; query < scene.queries.rows; query++) {
        const bool settled =
            settler.settle(query, search.all(), lists[0], &lists[1]);
        count += settled;
        for (const bool normalised : {false, true}) {
            expect_settled(scene, query, settled, search.known[normalised],
                           lists[normalised], normalised, k);
            if (testing::Test::HasFatalFailure()) return count;
        }
    }
    return count;
}

TEST(Settler, HasTheBestOfAllSlices) {
    for (const Rows kind : {Rows::gaussian, Rows::ties, Rows::beyond}) {
        for (const idx_t earlier : {0, 30}) {
            const Scene scene = scene_of(kind, 320 + earlier, earlier);
            for (const idx_t k : {1, 10, 100, 1000}) {
                for (const idx_t slices : {1, 3, 10}) {
                    EXPECT_EQ(settle_all({scene, k, slices, 0}, k), 20);
                    if (HasFatalFailure()) return;
                }
            }
        }
    }
}

TEST(Settler, HasTheBestWhereGuessesHold) {
    const Scene scene = scene_of(Rows::gaussian, 1600, 0);
    for (const idx_t k : {1, 20, 100}) {
        for (const idx_t slices : {1, 2}) {
            EXPECT_GE(settle_all({scene, k, slices, 6}, k), 18) << k;
            if (HasFatalFailure()) return;
        }
    }
}

/// The first rows are the best by far: what they let hope for is too much.
TEST(Settler, SaysWhereGuessesFailed) {
    Matrix gallery = testdata::gaussian(1600, d, 1);
    Matrix queries = testdata::gaussian(20, d, 2);
    for (idx_t i = 0; i < 1600; i++) gallery.data[i * d] = i < 30 ? 50 : -50;
    for (idx_t i = 0; i < 20; i++) queries.data[i * d] = 10;
    const Scene scene(Metric::inner_product, gallery, queries, 0);
    EXPECT_EQ(settle_all({scene, 50, 1, 6}, 50), 0);
}

TEST(Settler, IsRightOrSaysSoWhereScoresTie) {
    for (const Rows kind : {Rows::ties, Rows::beyond, Rows::hard}) {
        const Scene scene = scene_of(kind, 1600, 0);
        for (const idx_t k : {1, 20, 100}) {
            for (const idx_t sample : {3, 12, 25}) {
                for (const idx_t slices : {1, 2}) {
                    settle_all({scene, k, slices, sample}, k);
                    if (HasFatalFailure()) return;
                }
            }
        }
    }
}

/// All scores tie, and labels follow rows: the first tiles have the best, of
/// which a list that is full forgets some.
void expect_right_or_said_so_where_all_tie(float size) {
    const Matrix gallery{std::vector<float>(1600 * d, size), 1600, d};
    const Matrix queries{std::vector<float>(20 * d, size), 20, d};
    Scene scene(Metric::inner_product, gallery, queries, 0, 0);
    std::sort(scene.labels.begin(), scene.labels.end());
    for (const idx_t k : {1, 20, 100, 200}) {
        settle_all({scene, k, 1, 14}, k);
        if (testing::Test::HasFatalFailure()) return;
    }
}

TEST(Settler, IsRightOrSaysSoWhereAllScoresTie) {
    expect_right_or_said_so_where_all_tie(1);
}

TEST(Settler, IsRightOrSaysSoWhereAllScoresAreInfinite) {
    expect_right_or_said_so_where_all_tie(1e30F);
}

TEST(Settler, LeavesOutWhatTheGateMakesNeedless) {
    for (const idx_t earlier : {0, 500}) {
        const Scene scene = scene_of(Rows::gaussian, 640 + earlier, earlier);
        constexpr idx_t k = 10;
        std::vector<idx_t> active;
        for (idx_t i = 0; i < scene.gallery.rows; i += 2) {
            active.push_back(scene.labels[i]);
        }
        const ActivationSet activation(Scene::first_label + scene.gallery.rows,
                                       active);
        const Gate gate{Method::dis, activation};
        const Search search(scene, k, 2, earlier == 0 ? 3 : 0);
        TopLists lists[2] = {search.known[0], search.known[1]};
        Settler settler(scene.exact[0], &scene.exact[1], &gate);
        idx_t opened = 0;
        for (idx_t query = 0; query < scene.queries.rows; query++) {
            const bool settled =
                settler.settle(query, search.all(), lists[0], &lists[1]);
            const bool open = gate.opens(scene.sorted(query, false)[0].label);
            opened += open && settled;
            expect_settled(scene, query, settled, search.known[0], lists[0],
                           false, open ? 1 : k);
            if (!open && settled) continue;  // of no matter
            expect_settled(scene, query, settled, search.known[1], lists[1],
                           true, k);
            if (HasFatalFailure()) return;
        }
        EXPECT_GT(opened, 3);
        EXPECT_LT(opened, 17);
    }
}

}  // namespace
