// Oracle: oracle.h's rankings, counted; FAISS's own answers of an index.

#include "tests/cli/eval_scene.h"
#include "tests/cli/search_scene.h"

namespace {

using namespace cli;

using Labels = std::vector<idx_t>;

Labels occurrences(const oracle::Reference& reference, Method method) {
    Labels counts(reference.offsets.size(), 0);
    for (size_t i = 0; i < reference.raw.size(); i++) {
        const auto order =
            oracle::ranking(reference.scores(method, static_cast<idx_t>(i)));
        for (int rank = 0; rank < 10; rank++) counts[order[rank]]++;
    }
    return counts;
}

TEST_F(SmallEval, HubsAndWhatTheyTake) {
    const auto expected = reference(Metric::inner_product);
    const oracle::Rows probe = oracle::similarities(
        Metric::inner_product, bank.view(), gallery.view());
    const std::string output = done(eval.with("--hubs", "3"));
    const json methods = read_json(folder / "eval.json")["methods"];
    size_t with_bank_queries = 0;
    for (const json& found : methods) {
        const Labels counts = occurrences(
            expected,
            faiss_qbnorm::method_from_name(found["name"].get<std::string>()));
        const auto used = 1000 - std::count(counts.begin(), counts.end(), 0);
        EXPECT_NEAR(found["retrieved"], static_cast<double>(used) / 1000, 1e-9);
        ASSERT_EQ(found["hubs"].size(), 3U);
        for (const json& hub : found["hubs"]) {
            const idx_t item = hub["item"];
            EXPECT_EQ(hub["k_occurrence"], counts[item]);
            Labels taken;
            for (size_t i = 0; i < probe.size(); i++) {
                if (oracle::ranking(probe[i])[0] == item) {
                    taken.push_back(static_cast<idx_t>(i));
                }
            }
            EXPECT_EQ(hub["bank_queries"], json(taken));
            with_bank_queries += !taken.empty();
            std::ostringstream row;
            row << item;
            EXPECT_NE(output.find(row.str()), std::string::npos);
        }
        EXPECT_EQ(found["hubs"][0]["k_occurrence"], found["max_k_occurrence"]);
    }
    EXPECT_GT(with_bank_queries, 0U);
    EXPECT_NE(output.find("bank queries whose first item"), std::string::npos);
}

TEST_F(SmallEval, TheReportHasTenHubsWithoutBeingAsked) {
    const std::string output = done(eval);
    EXPECT_EQ(output.find("hubs"), std::string::npos);
    const json methods = read_json(folder / "eval.json")["methods"];
    EXPECT_EQ(methods[0]["hubs"].size(), 10U);
}

TEST_F(SmallEval, PlotsBeforeAndAfter) {
    done(eval.with("--plot", "hubs.svg"));
    const std::string svg = content("hubs.svg");
    EXPECT_TRUE(svg.starts_with("<svg "));
    for (const char* name : {"none", "is", "dis"}) {
        EXPECT_NE(svg.find(std::string(name) + " (skewness "),
                  std::string::npos);
    }
    expect_refused(eval.with("--plot", "gallery.npy"),
                   {"gallery.npy: is an input too"});
    expect_refused(eval.with("--plot", "nowhere/hubs.svg"), {"nowhere/"});
}

// ---- through an index ----

class IndexEval : public Search {
  protected:
    const Command eval =
        "eval --gallery gallery.npy --queries queries.npy --querybank bank.npy "
        "--json eval.json --index index.faiss";

    json report(const Command& command) const {
        done(command);
        return read_json(folder / "eval.json");
    }
};

TEST_F(IndexEval, AFlatIndexIsTheExactScan) {
    faiss::IndexFlatIP flat(24);
    write(flat);
    const std::string output = done(eval);
    EXPECT_NE(output.find("through index.faiss:"), std::string::npos);
    const json all = read_json(folder / "eval.json");
    ASSERT_EQ(all["index"]["methods"].size(), 3U);
    for (size_t i = 0; i < 3; i++) {
        const json& exact = all["methods"][i];
        const json& through = all["index"]["methods"][i];
        for (const char* key :
             {"name", "R@1", "R@5", "R@10", "R@50", "geometric_mean",
              "skewness", "max_k_occurrence", "retrieved", "gate_open"}) {
            EXPECT_EQ(exact[key], through[key]) << key;
        }
        EXPECT_TRUE(through["MnR"].is_null());
    }
}

TEST_F(IndexEval, AnIvfIndexMissesWhatItDoesNotProbe) {
    faiss::IndexFlatIP quantizer(24);
    faiss::IndexIVFFlat ivf(&quantizer, 24, 16, faiss::METRIC_INNER_PRODUCT);
    write(ivf);
    ivf.nprobe = 2;
    Matrix near = queries;  // each its own item's neighbour
    for (size_t i = 0; i < near.data.size(); i++) {
        near.data[i] = 0.5F * near.data[i] + 0.5F * gallery.data[i];
    }
    write_npy(folder / "queries.npy", near);
    std::vector<float> distances(60 * 50);
    Labels labels(60 * 50);
    ivf.search(60, near.data.data(), 50, distances.data(), labels.data());
    double found = 0;
    for (idx_t i = 0; i < 60; i++) {
        const auto row = labels.begin() + i * 50;
        found += std::find(row, row + 50, i) != row + 50;
    }
    const json two = report(eval.with("--index-params", "nprobe=2"));
    const json& none = two["index"]["methods"][0];
    EXPECT_NEAR(none["R@50"], 100 * found / 60, 1e-9);
    // Every list: the exact scan, IS and DIS too.
    const json all = report(eval.with("--index-params", "nprobe=16"));
    for (size_t i = 0; i < 3; i++) {
        EXPECT_EQ(all["index"]["methods"][i]["R@50"],
                  all["methods"][i]["R@50"]);
        EXPECT_NE(all["methods"][i]["R@50"],
                  two["index"]["methods"][i]["R@50"]);
    }
    EXPECT_LT(two["index"]["methods"][2]["candidates"],
              all["index"]["methods"][2]["candidates"]);
}

TEST_F(IndexEval, EveryMethodButGc) {
    faiss::IndexFlatIP flat(24);
    write(flat);
    write_npy(folder / "itembank.npy", testdata::unit(70, 24, 4));
    const Command banks = eval.with("--gallerybank", "itembank.npy");
    const json all = report(
        banks.with("--methods none,cent,csls,nnn,is,dis,dualis,dualdis,dbsn"));
    ASSERT_EQ(all["methods"].size(), 9U);
    for (size_t i = 0; i < 9; i++) {
        const json& exact = all["methods"][i];
        const json& through = all["index"]["methods"][i];
        // dualdis has candidates only, where a gate of two is closed.
        if (exact["name"] == "dualdis") continue;
        EXPECT_EQ(exact["R@50"], through["R@50"]) << exact["name"];
        EXPECT_EQ(exact["skewness"], through["skewness"]) << exact["name"];
        EXPECT_EQ(exact["gate_open"], through["gate_open"]) << exact["name"];
    }
    expect_refusal(run(eval.with("--methods", "none,gc")), 2,
                   {"--index", "gc"});
}

TEST_F(IndexEval, RefusesAnotherGallerysIndex) {
    faiss::IndexFlatIP flat(24);
    flat.add(999, gallery.data.data());
    faiss::write_index(&flat, (folder / "index.faiss").c_str());
    const Outcome outcome = run(eval.without("--json"));
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(outcome.out, "");  // before any work
    EXPECT_NE(outcome.err.find("index.faiss: has 999 vectors but gallery.npy"),
              std::string::npos)
        << outcome.err;
}

}  // namespace
