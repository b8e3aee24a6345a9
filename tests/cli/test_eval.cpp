// Oracle: the reference table published with the manpages-de-en-small data, and
// ranks counted by hand.

#include "tests/cli/eval_scene.h"

namespace {

using namespace cli;

class Eval : public testing::Test {
  protected:
    const TemporaryFolder folder;
    const Command eval = Command("eval --normalize --beta 30")
                             .with("--gallery", manpages("gallery.npy"))
                             .with("--queries", manpages("queries.npy"))
                             .with("--querybank", manpages("querybank.npy"));
};

void expect_published(const std::string& output) {
    EXPECT_EQ(printed(output, "none"),
              (Words{"38.8", "61.5", "72.0", "3.0", "3.17", "145"}));
    EXPECT_EQ(printed(output, "is"),
              (Words{"52.9", "73.2", "80.3", "1.0", "0.52", "29"}));
    EXPECT_EQ(printed(output, "dis"),
              (Words{"52.8", "72.3", "79.6", "1.0", "0.69", "30"}));
}

TEST_F(Eval, PrintsThePublishedFigures) {
    expect_published(done(folder, eval.with("--methods none,is,dis")));
    const std::string one =
        done(folder, eval.with("--beta", "20").with("--methods dis"));
    EXPECT_EQ(printed(one, "dis"),
              (Words{"51.9", "72.5", "79.4", "1.0", "0.93", "31"}));
    EXPECT_EQ(one.find("none"), std::string::npos) << "only what was asked";
}

TEST_F(Eval, TheGroundTruthFileGivesTheSame) {
    const std::string truth = manpages("groundtruth.npy");
    expect_published(done(folder, eval.with("--groundtruth", truth)));
}

TEST_F(Eval, TheReportHoldsEveryFigure) {
    done(folder, eval.with("--json eval.json --engine cpu"));
    const json report = read_json(folder / "eval.json");
    EXPECT_EQ(report["engine"], "cpu");
    ASSERT_EQ(report["methods"].size(), 3U);
    const json& none = report["methods"][0];
    const json& is = report["methods"][1];
    const json& dis = report["methods"][2];
    EXPECT_EQ(none["name"], "none");
    EXPECT_EQ(none["gate_open"], 0.0);
    EXPECT_EQ(is["name"], "is");
    EXPECT_EQ(is["gate_open"], 1.0);
    EXPECT_EQ(dis["name"], "dis");
    EXPECT_NEAR(dis["R@1"], 52.8, 0.051);
    EXPECT_NEAR(dis["R@5"], 72.3, 0.051);
    EXPECT_NEAR(dis["R@10"], 79.6, 0.051);
    EXPECT_GT(dis["R@50"], dis["R@10"]);
    EXPECT_EQ(dis["MdR"], 1.0);
    EXPECT_GT(dis["MnR"], dis["MdR"]);
    EXPECT_NEAR(dis["geometric_mean"], std::cbrt(52.8 * 72.3 * 79.6), 0.05);
    EXPECT_NEAR(dis["skewness"], 0.69, 0.0051);
    EXPECT_EQ(dis["max_k_occurrence"], 30);
    EXPECT_GT(dis["gate_open"], 0.5);
    EXPECT_LT(dis["gate_open"], 1);
    for (const char* step : {"read", "fit", "search"}) {
        EXPECT_GT(report["seconds"].at(step), 0) << step;
    }
    EXPECT_GT(report["peak_bytes"], 1 << 20);
}

// Three equal items and one other; one bank query, so that the offset of an
// item is its score against it: 1, 1, 1 and 0.
TEST_F(SmallEval, TiedAnswersHaveTheirMeanRank) {
    write_npy(folder / "gallery.npy", Matrix{{1, 0, 1, 0, 1, 0, 0, 1}, 4, 2});
    write_npy(folder / "queries.npy", Matrix{{1, 0, 0, 1, -1, -2}, 3, 2});
    write_npy(folder / "bank.npy", Matrix{{1, 0}, 1, 2});
    write_truth({1, 3, 3});
    const json methods = methods_of(eval_truth);
    // Raw scores 1 1 1 0, 0 0 0 1, -1 -1 -1 -2: ranks 2, 1 and 4.
    const json& none = methods[0];
    EXPECT_NEAR(none["R@1"], 100.0 / 3, 1e-9);
    EXPECT_EQ(none["R@5"], 100.0);
    EXPECT_EQ(none["MdR"], 2.0);
    EXPECT_NEAR(none["MnR"], 7.0 / 3, 1e-9);
    EXPECT_EQ(none["max_k_occurrence"], 3);
    EXPECT_EQ(none["skewness"], 0.0);
    // Normalised 0 0 0 0, -1 -1 -1 1, -2 -2 -2 -2: ranks 2.5, 1 and 2.5.
    const json& is = methods[1];
    EXPECT_NEAR(is["R@1"], 100.0 / 3, 1e-9);
    EXPECT_EQ(is["R@5"], 100.0);
    EXPECT_EQ(is["MdR"], 2.5);
    EXPECT_NEAR(is["MnR"], 2.0, 1e-9);
    // The bank's top 1 is item 0 (ties go to the lower label), as is that of
    // queries 0 and 2; query 1 stays raw. Ranks 2.5, 1 and 2.5.
    const json& dis = methods[2];
    EXPECT_EQ(dis["MdR"], 2.5);
    EXPECT_NEAR(dis["gate_open"], 2.0 / 3, 1e-9);
}

TEST_F(SmallEval, TheGroundTruthFollowsItsQueries) {
    const json straight = methods_of(eval);
    Matrix turned = queries;
    std::vector<idx_t> truth;
    for (idx_t i = 0; i < queries.rows; i++) {
        const idx_t from = queries.rows - 1 - i;
        std::copy_n(queries.view().row(from), 24, &turned.data[i * 24]);
        truth.push_back(from);
    }
    write_npy(folder / "queries.npy", turned);
    EXPECT_NE(methods_of(eval), straight);
    write_truth(truth);
    const json again = methods_of(eval_truth);
    ASSERT_EQ(again.size(), straight.size());
    for (size_t i = 0; i < straight.size(); i++) {
        EXPECT_EQ(again[i]["R@50"], straight[i]["R@50"]);
        EXPECT_EQ(again[i]["MdR"], straight[i]["MdR"]);
        EXPECT_NEAR(again[i]["MnR"], straight[i]["MnR"], 1e-9);
        EXPECT_EQ(again[i]["max_k_occurrence"],
                  straight[i]["max_k_occurrence"]);
    }
}

TEST_F(SmallEval, GatesOpenAsTheOraclesDo) {
    const auto expect_gates = [&](const Command& more,
                                  const oracle::Reference& expected) {
        double open = 0;
        for (const oracle::Row& raw : expected.raw) {
            open += expected.activation.contains(oracle::ranking(raw)[0]);
        }
        const json methods = methods_of(eval.with(more));
        EXPECT_NEAR(methods[2]["gate_open"], open / 60, 1e-9) << more.line();
        return open;
    };
    const double few = expect_gates("", reference(Metric::inner_product));
    const double more = expect_gates("--metric l2 --activation-k 3",
                                     reference(Metric::l2, 20, 3));
    EXPECT_GT(more, few);
}

TEST_F(SmallEval, WrongGroundTruthIsNamed) {
    std::vector<idx_t> truth(60, 5);
    truth[17] = 1000;
    write_truth(truth);
    expect_refused({"truth.npy: row 17 is item 1000", "gallery.npy", "999"});
    truth[17] = -1;
    write_truth(truth);
    expect_refused({"truth.npy: row 17 is item -1"});
    truth[17] = 999;
    write_truth(truth);
    done(eval_truth.with("--json", "right.json"));
    truth.pop_back();
    write_truth(truth);
    expect_refused({"truth.npy: is 59 x 1", "60 queries"});
    write_labels(folder / "truth.npy", 2, std::vector<idx_t>(118, 5));
    expect_refused({"truth.npy: is 59 x 2"});
    write_npy(folder / "truth.npy", "<f4", "(60,)", std::string(240, '\0'));
    expect_refused({"truth.npy: holds float32"});
}

TEST_F(SmallEval, QueriesPastTheGalleryNeedAGroundTruth) {
    write_npy(folder / "gallery.npy", testdata::unit(59, 24, 1));
    expect_refusal(run(eval), 1,
                   {"queries.npy", "60", "gallery.npy", "--groundtruth"});
    write_truth(std::vector<idx_t>(60, 58));
    done(eval_truth);
}

}  // namespace
