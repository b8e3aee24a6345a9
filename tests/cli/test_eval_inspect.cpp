// Oracle: the reference table published with the manpages-de-en-small data,
// ranks counted by hand, and for inspect the numbers the files were made with.

#include <sstream>

#include "faiss_qbnorm/io/table_file.h"
#include "tests/cli/run.h"

namespace {

using namespace cli;
using nlohmann::json;

// ---- eval ----

/// The printed row of a method: R@1, R@5, R@10, MdR, skewness, max.
Words printed(const std::string& output, const std::string& method) {
    std::istringstream lines(output);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        Words fields;
        for (std::string word; words >> word;) fields.push_back(word);
        if (fields.size() == 12 && fields[0] == method) {
            return {fields[1], fields[2], fields[3],
                    fields[5], fields[8], fields[9]};
        }
    }
    ADD_FAILURE() << "no row of " << method << " in:\n" << output;
    return {};
}

std::string manpages(const std::string& name) {
    return testdata::real("manpages-de-en-small/" + name);
}

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

class SmallEval : public Scene {
  protected:
    const Command eval =
        "eval --gallery gallery.npy --queries queries.npy "
        "--querybank bank.npy --json eval.json";
    const Command eval_truth = eval.with("--groundtruth", "truth.npy");

    json methods_of(const Command& command) const {
        done(command);
        return read_json(folder / "eval.json")["methods"];
    }

    void write_truth(const std::vector<idx_t>& truth) const {
        std::ostringstream shape;
        shape << "(" << truth.size() << ",)";
        write_npy(folder / "truth.npy", "<i8", shape.str(), bytes_of(truth));
    }

    void expect_refused(const Words& texts) const {
        const long before = folder.count();
        expect_refusal(run(eval_truth), 1, texts);
        EXPECT_EQ(folder.count(), before);
    }
};

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
    write_labels(folder / "truth.npy", 2, std::vector<idx_t>(120, 5));
    expect_refused({"truth.npy: is 60 x 2"});
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

// ---- inspect ----

class Inspect : public Scene {
  protected:
    static void expect_says(const std::string& said, const Words& texts) {
        for (const std::string& text : texts) {
            EXPECT_NE(said.find(text), std::string::npos)
                << "does not say '" << text << "': " << said;
        }
    }
};

// Oracle: /proc/cpuinfo.
TEST_F(Inspect, SaysWhichInstructionsItUsesHere) {
    std::ifstream file("/proc/cpuinfo");
    const std::string processor{std::istreambuf_iterator<char>(file), {}};
    const auto has = [&](const char* flag) {
        return processor.find(flag) != std::string::npos;
    };
    done("inspect --machine --json machine.json");
    const std::string said = read_json(folder / "machine.json")["cpu"];
    const std::string plain = read_json(folder / "machine.json")["cpu:blas"];
    expect_says(said, {"loops in", "products by"});
    expect_says(plain, {"products by BLAS in fp32"});
    if (has(" avx512vl ") && has(" avx512dq ")) {
        expect_says(said, {"loops in AVX3"});
    }
    const bool by_onednn = said.find("oneDNN") != std::string::npos;
    if (by_onednn && has(" avx512_bf16 ")) expect_says(said, {"bf16"});
    if (by_onednn && !has(" avx512_bf16 ")) {
        EXPECT_EQ(said.find("bf16"), std::string::npos);
    }
}

TEST_F(Inspect, SaysWhatATableIs) {
    done(fit.with("--metric l2 --beta 7.5"));
    const std::string said = done("inspect table.qbn");
    expect_says(said, {"table.qbn: table of 1000 items, d = 24, metric l2",
                       "querybank of 90", "method dis", "beta 7.5"});
    EXPECT_EQ(said.find("checksum"), std::string::npos) << said;
    expect_says(done("inspect table.qbn --verify"),
                {"every checksum is right"});
}

TEST_F(Inspect, SaysThatAPartIsAPart) {
    done(fit.with("--rows 130:777"));
    expect_says(done("inspect table.qbn --json inspect.json"),
                {"part of a table: rows 130:777 of 1000 items"});
    const json report = read_json(folder / "inspect.json");
    EXPECT_EQ(report["rows"], json::parse("[130, 777]"));
    EXPECT_EQ(report["columns"][0]["method"], "dis");
}

TEST_F(Inspect, SaysWhatEveryColumnIs) {
    done(fit);
    auto two = faiss_qbnorm::read_table(folder / "table.qbn");
    two.columns.push_back(two.columns[0]);
    two.columns[1].bank = faiss_qbnorm::Bank::gallerybank;
    two.columns[1].normalization.beta = 12.5;
    write_table(two, folder / "two.qbn");
    expect_says(done("inspect two.qbn"),
                {"querybank of 90, method dis, beta 20;",
                 "gallerybank of 90, method dis, beta 12.5;"});
}

TEST_F(Inspect, SaysWhatAVectorFileIs) {
    const Matrix three{{3, 4, 6, 8, 0, -1}, 3, 2};
    write_npy(folder / "a.npy", three);
    write_half(folder / "b.npy", three);
    write_fvecs(folder / "c.fvecs", three);
    write_fbin(folder / "d.fbin", three);
    write_labels(folder / "e.npy", 2, {1, 2, 3, 4});
    const std::string words = ": 3 rows of dimension 2, ";
    const std::string norms = "; norms 1 to 10\n";
    EXPECT_EQ(done("inspect a.npy"), "a.npy" + words + "float32" + norms);
    EXPECT_EQ(done("inspect b.npy"), "b.npy" + words + "float16" + norms);
    EXPECT_EQ(done("inspect c.fvecs"), "c.fvecs" + words + "float32" + norms);
    EXPECT_EQ(done("inspect d.fbin"), "d.fbin" + words + "float32" + norms);
    EXPECT_EQ(done("inspect e.npy"), "e.npy: 2 rows of dimension 2, int64\n");
}

TEST_F(Inspect, VerifyReadsBeyondTheFirstRows) {
    Matrix many{std::vector<float>(20001, 1), 20001, 1};
    many.data[20000] = 50;
    write_fvecs(folder / "many.fvecs", many);
    expect_says(done("inspect many.fvecs"),
                {"norms 1 to 1 in the first 10000 rows\n"});
    expect_says(done("inspect many.fvecs --verify"), {"norms 1 to 50\n"});
}

TEST_F(Inspect, VerifyFindsADamagedTable) {
    done(fit);
    const std::string whole = content("table.qbn");
    // In the offsets, and in the last bank list.
    for (const size_t at : {size_t{1000}, whole.size() - 3}) {
        std::string damaged = whole;
        damaged[at] ^= 1;
        write_file(folder / "table.qbn", damaged);
        done("inspect table.qbn");  // the header is as it was
        expect_refusal(run("inspect table.qbn --verify"), 1,
                       {"table.qbn: section", "damaged"});
    }
}

TEST_F(Inspect, VerifyFindsADamagedVectorFile) {
    write_fvecs(folder / "bad.fvecs", gallery);
    std::string bytes = content("bad.fvecs");
    bytes[100 * 7]++;  // the d of row 7
    write_file(folder / "bad.fvecs", bytes);
    write_file(folder / "bad.ivecs", bytes);
    expect_refusal(run("inspect bad.fvecs --verify"), 1,
                   {"bad.fvecs: row 7 has dimension 25"});
    expect_refusal(run("inspect bad.ivecs --verify"), 1,
                   {"bad.ivecs: row 7 has dimension 25"});
    Matrix holed = gallery;
    holed.data[24 * 31 + 5] = INFINITY;
    write_npy(folder / "gallery.npy", holed);
    expect_refusal(run("inspect gallery.npy --verify"), 1,
                   {"gallery.npy: row 31 holds NaN or Inf"});
}

TEST_F(Inspect, NamesWhatItDoesNotKnow) {
    write_file(folder / "notes.txt", "not vectors");
    expect_refusal(run("inspect notes.txt"), 1, {"notes.txt: ", ".npy"});
    expect_refusal(run("inspect absent.npy"), 1,
                   {"absent.npy: ", "No such file"});
}

}  // namespace
