// Oracle: recalls of tests/oracle.h's rankings, and the real data's figures
// (bench/data/README.md).

#include "tests/cli/run.h"

namespace {

using namespace cli;
using nlohmann::json;

class Tune : public Scene {
  protected:
    json tune(const Command& more) const {
        done(base.with(more).with("--json", "tune.json"));
        return read_json(folder / "tune.json");
    }

    /// Each query's right item: the second of its raw ranking.
    void write_truth() const {
        const auto raw = reference(Metric::inner_product).raw;
        std::vector<idx_t> truth;
        for (const auto& row : raw) truth.push_back(oracle::ranking(row)[1]);
        write_labels(folder / "truth.npy", 1, truth);
    }

    const Command base = "tune --gallery gallery.npy --querybank bank.npy";
    const Command labelled = "--queries queries.npy --groundtruth truth.npy";
};

TEST_F(Tune, ChoosesBetaByLiveQueries) {
    const json report = tune("--queries queries.npy");
    ASSERT_EQ(report["curve"].size(), 12U);
    EXPECT_EQ(report["queries"], 60);
    EXPECT_EQ(report["held_out"], false);
    EXPECT_GE(report["confidence"], 0.0);
    EXPECT_LE(report["confidence"], 1.0);
    EXPECT_NE(std::string(report["warning"]).find("only 60 queries"),
              std::string::npos);
    double best = 0;
    double at = 0;
    for (const json& point : report["curve"]) {
        if (point["entropy"] > best) {
            best = point["entropy"];
            at = point["beta"];
        }
    }
    // Refined, but by less than a step of the grid.
    EXPECT_LT(
        std::fabs(std::log(
            double(tune("--queries queries.npy --method is")["beta"]) / at)),
        std::log(40.0) / 11);
    EXPECT_TRUE(report["seconds"].contains("tune"));
}

TEST_F(Tune, ChoosesForTheMethodThatIsGiven) {
    const json is = tune("--queries queries.npy --method is");
    EXPECT_EQ(is["method"], "is");
    EXPECT_FALSE(is.contains("activation_k"));
    const json dis =
        tune("--queries queries.npy --method dis --activation-k 3");
    EXPECT_EQ(dis["method"], "dis");
    EXPECT_EQ(dis["activation_k"], 3);
    EXPECT_EQ(dis["beta"], is["beta"]);
}

TEST_F(Tune, HoldsRowsOfTheBankOut) {
    const json report = tune("");
    EXPECT_EQ(report["held_out"], true);
    EXPECT_EQ(report["queries"], 88);  // 22 of 90 in each of four splits
    EXPECT_NE(std::string(report["warning"]).find("bank alone"),
              std::string::npos);
}

TEST_F(Tune, SaysWhatItChose) {
    const std::string said = done(base.with("--queries queries.npy"));
    for (const char* text : {"beta", "entropy", "raw", "chosen: ", "support it",
                             "take care: only 60 queries"}) {
        EXPECT_NE(said.find(text), std::string::npos) << text << "\n" << said;
    }
}

TEST_F(Tune, SweepsByRecall) {
    write_truth();
    const json report = tune(labelled.with("--method is"));
    ASSERT_EQ(report["curve"].size(), 16U);
    const std::vector<idx_t> truth =
        values_of<idx_t>(content("truth.npy").substr(128));
    double best = 0;
    double chosen = -1;
    for (const json& point : report["curve"]) {
        const auto expected = reference(Metric::inner_product, point["beta"]);
        double found = 0;
        for (idx_t q = 0; q < 60; q++) {
            found +=
                oracle::ranking(expected.scores(Method::is, q))[0] == truth[q];
        }
        EXPECT_NEAR(point["R@1"], 100 * found / 60, 1e-9);
        best = std::max(best, double(point["R@1"]));
        if (point["beta"] == report["beta"]) chosen = point["R@1"];
    }
    EXPECT_GT(best, 0);
    EXPECT_EQ(chosen, best);
}

TEST_F(Tune, SweepsTheOtherMethods) {
    write_truth();
    const json nnn = tune(labelled.with("--method nnn"));
    EXPECT_TRUE(nnn.contains("alpha"));
    EXPECT_EQ(nnn["curve"].size(), 36U);  // 1 to 50 neighbours, six alphas
    const json csls = tune(labelled.with("--method csls"));
    EXPECT_TRUE(csls.contains("neighbours"));
    const json dual = tune(
        labelled.with("--method dualdis --gallerybank queries.npy --beta2 4"));
    EXPECT_EQ(dual["method"], "dualdis");
    EXPECT_EQ(dual["beta2"], 4);
    EXPECT_TRUE(dual.contains("activation_k"));
}

TEST_F(Tune, OnRealDataFindsWhatTheReadmeSays) {
    const std::string data = testdata::real("manpages-de-en-small/");
    const json report = json::parse([&] {
        done(Command("tune --normalize --json tune.json")
                 .with("--gallery", data + "gallery.npy")
                 .with("--querybank", data + "querybank.npy")
                 .with("--queries", data + "queries.npy")
                 .with("--groundtruth", data + "groundtruth.npy"));
        return content("tune.json");
    }());
    double best = 0;
    for (const json& point : report["curve"]) {
        best = std::max(best, double(point["R@1"]));
        if (point["method"] == "none") {
            EXPECT_NEAR(point["R@1"], 38.8, 0.051);
        }
        if (point["method"] == "csls" && point["neighbours"] == 10) {
            EXPECT_NEAR(point["R@1"], 49.6, 0.051);
        }
    }
    EXPECT_GE(best, 52.85);
}

TEST_F(Tune, RefusesWhatItCannotDo) {
    write_truth();
    expect_refusal(run(base.with("--method csls")), 1,
                   {"is and dis only, not for csls", "--groundtruth"});
    expect_refusal(run(base.with(labelled).with("--method dualis")), 1,
                   {"dualis needs a gallerybank"});
    expect_refusal(run(base.with("--groundtruth truth.npy")), 2,
                   {"--groundtruth requires --queries"});
    expect_refusal(run(base.with("--method gc")), 2, {"--method"});
    write_labels(folder / "truth.npy", 1, std::vector<idx_t>(60, 1000));
    expect_refusal(run(base.with(labelled)), 1,
                   {"truth.npy: ", "query 0 names item 1000"});
    write_labels(folder / "truth.npy", 1, std::vector<idx_t>(59, 1));
    expect_refusal(run(base.with(labelled)), 1,
                   {"truth.npy: has 59 rows", "60 queries"});
    write_npy(folder / "queries.npy", testdata::unit(60, 7, 1));
    expect_refusal(run(base.with("--queries queries.npy")), 1,
                   {"queries.npy: has dimension 7", "24"});
}

}  // namespace
