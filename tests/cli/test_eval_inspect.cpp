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

Words eval_manpages(const std::string& beta) {
    return {"eval",
            "--gallery",
            manpages("gallery.npy"),
            "--queries",
            manpages("queries.npy"),
            "--querybank",
            manpages("querybank.npy"),
            "--normalize",
            "--beta",
            beta};
}

void expect_published(const std::string& output) {
    EXPECT_EQ(printed(output, "none"),
              (Words{"38.8", "61.5", "72.0", "3.0", "3.17", "145"}));
    EXPECT_EQ(printed(output, "is"),
              (Words{"52.9", "73.2", "80.3", "1.0", "0.52", "29"}));
    EXPECT_EQ(printed(output, "dis"),
              (Words{"52.8", "72.3", "79.6", "1.0", "0.69", "30"}));
}

TEST(Eval, PrintsThePublishedFigures) {
    expect_published(done(eval_manpages("30")));
    const std::string dis =
        done(eval_manpages("20") + Words{"--methods", "dis"});
    EXPECT_EQ(printed(dis, "dis"),
              (Words{"51.9", "72.5", "79.4", "1.0", "0.93", "31"}));
    EXPECT_EQ(dis.find("none"), std::string::npos) << "only what was asked";
}

TEST(Eval, TheGroundTruthFileGivesTheSame) {
    expect_published(done(eval_manpages("30") +
                          Words{"--groundtruth", manpages("groundtruth.npy"),
                                "--methods", "none,is,dis"}));
}

TEST(Eval, TheReportHoldsEveryFigure) {
    const TemporaryFolder folder;
    const std::string file = folder / "report.json";
    done(eval_manpages("30") + Words{"--json", file, "--engine", "cpu"});
    const json report = read_json(file);
    EXPECT_EQ(report["engine"], "cpu");
    ASSERT_EQ(report["methods"].size(), 3U);
    const json& none = report["methods"][0];
    const json& dis = report["methods"][2];
    EXPECT_EQ(none["name"], "none");
    EXPECT_EQ(none["gate_open"], 0.0);
    EXPECT_EQ(report["methods"][1]["gate_open"], 1.0);
    EXPECT_EQ(dis["name"], "dis");
    EXPECT_NEAR(dis["R@1"], 52.75, 0.051);
    EXPECT_NEAR(dis["R@5"], 72.3, 0.051);
    EXPECT_NEAR(dis["R@10"], 79.6, 0.051);
    EXPECT_GT(dis["R@50"], dis["R@10"]);
    EXPECT_EQ(dis["MdR"], 1.0);
    EXPECT_GT(dis["MnR"], dis["MdR"]);
    EXPECT_NEAR(dis["geometric_mean"], std::cbrt(52.75 * 72.3 * 79.6), 0.05);
    EXPECT_NEAR(dis["skewness"], 0.69, 0.005);
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
    const std::string truth_file = folder / "truth.npy";
    const std::string report_file = folder / "report.json";

    Words command() const {
        return {"eval",      "--gallery",  gallery_file,
                "--queries", queries_file, "--querybank",
                bank_file,   "--json",     report_file};
    }

    json methods_of(const Words& command) const {
        done(command);
        return read_json(report_file)["methods"];
    }

    void write_truth(const std::vector<idx_t>& truth) const {
        write_npy(truth_file, "<i8", "(" + std::to_string(truth.size()) + ",)",
                  bytes_of(truth));
    }

    void expect_refused(const Words& texts) const {
        const long before = folder.count();
        expect_refusal(run(command() + Words{"--groundtruth", truth_file}), 1,
                       texts);
        EXPECT_EQ(folder.count(), before);
    }
};

// Three equal items and one other; one bank query, so that the offset of an
// item is its score against it: 1, 1, 1 and 0.
TEST_F(SmallEval, TiedAnswersHaveTheirMeanRank) {
    write_npy(gallery_file, Matrix{{1, 0, 1, 0, 1, 0, 0, 1}, 4, 2});
    write_npy(queries_file, Matrix{{1, 0, 0, 1, -1, -2}, 3, 2});
    write_npy(bank_file, Matrix{{1, 0}, 1, 2});
    write_truth({1, 3, 3});
    const json methods =
        methods_of(command() + Words{"--groundtruth", truth_file});
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
    // The bank's top 1 is item 0: open for queries 0 and 2 (ties go to the
    // lower label), closed for query 1. Ranks 2.5, 1 and 2.5 again.
    const json& dis = methods[2];
    EXPECT_EQ(dis["MdR"], 2.5);
    EXPECT_NEAR(dis["gate_open"], 2.0 / 3, 1e-9);
}

TEST_F(SmallEval, TheGroundTruthFollowsItsQueries) {
    const json straight = methods_of(command());
    Matrix turned = queries;
    std::vector<idx_t> truth;
    for (idx_t i = 0; i < queries.rows; i++) {
        const idx_t from = queries.rows - 1 - i;
        std::copy_n(queries.view().row(from), 24, &turned.data[i * 24]);
        truth.push_back(from);
    }
    write_npy(queries_file, turned);
    EXPECT_NE(methods_of(command()), straight);
    write_truth(truth);
    const json again =
        methods_of(command() + Words{"--groundtruth", truth_file});
    for (size_t i = 0; i < straight.size(); i++) {
        for (const char* figure : {"R@50", "MdR", "max_k_occurrence"}) {
            EXPECT_EQ(again[i][figure], straight[i][figure]) << figure;
        }
        EXPECT_NEAR(again[i]["MnR"], straight[i]["MnR"], 1e-9);
    }
}

TEST_F(SmallEval, WrongGroundTruthIsNamed) {
    std::vector<idx_t> truth(60, 5);
    for (const idx_t label : {1000, -1}) {
        truth[17] = label;
        write_truth(truth);
        expect_refused({truth_file, "row 17", std::to_string(label)});
    }
    truth[17] = 999;
    write_truth(truth);
    done(command() + Words{"--groundtruth", truth_file});
    truth.pop_back();
    write_truth(truth);
    expect_refused({truth_file, "59", "60"});
    write_labels(truth_file, 2, std::vector<idx_t>(120, 5));
    expect_refused({truth_file, "60 x 2"});
    write_npy(truth_file, "<f4", "(60,)", std::string(240, '\0'));
    expect_refused({truth_file, "float32"});
}

TEST_F(SmallEval, QueriesPastTheGalleryNeedAGroundTruth) {
    write_npy(gallery_file, testdata::unit(59, 24, 1));
    expect_refusal(run(command()), 1,
                   {queries_file, gallery_file, "--groundtruth"});
    write_truth(std::vector<idx_t>(60, 58));
    done(command() + Words{"--groundtruth", truth_file});
}

// ---- inspect ----

class Inspect : public Scene {
  protected:
    const std::string table = folder / "table.qbn";

    static std::string inspected(const std::string& file,
                                 const Words& more = {}) {
        return done(Words{"inspect", file} + more);
    }
};

TEST_F(Inspect, SaysWhatATableIs) {
    done(fit("is", "l2", table) + Words{"--beta", "7.5"});
    const std::string said = inspected(table);
    for (const std::string text :
         {": table of 1000 items, d = 24, metric l2", "querybank of 90",
          "method is", "beta 7.5"}) {
        EXPECT_NE(said.find(text), std::string::npos) << said;
    }
    EXPECT_TRUE(said.starts_with(table));
    EXPECT_EQ(said.find("checksum"), std::string::npos) << said;
    const std::string verified = inspected(table, {"--verify"});
    EXPECT_NE(verified.find("every checksum is right"), std::string::npos);
}

TEST_F(Inspect, SaysThatAPartIsAPart) {
    done(fit("dis", "ip", table) + Words{"--rows", "130:777"});
    const std::string json_file = folder / "report.json";
    const std::string said = inspected(table, {"--json", json_file});
    EXPECT_NE(said.find("part of a table: rows 130:777 of 1000 items"),
              std::string::npos)
        << said;
    const json report = read_json(json_file);
    EXPECT_EQ(report["rows"], json::parse("[130, 777]"));
    EXPECT_EQ(report["columns"][0]["method"], "dis");
}

TEST_F(Inspect, SaysWhatEveryColumnIs) {
    done(fit("dis", "ip", table));
    auto two = faiss_qbnorm::read_table(table);
    two.columns.push_back(two.columns[0]);
    two.columns[1].bank = faiss_qbnorm::Bank::gallerybank;
    two.columns[1].normalization.beta = 12.5;
    write_table(two, folder / "two.qbn");
    const std::string said = inspected(folder / "two.qbn");
    EXPECT_NE(said.find("querybank of 90, method dis, beta 20;"),
              std::string::npos)
        << said;
    EXPECT_NE(said.find("gallerybank of 90, method dis, beta 12.5;"),
              std::string::npos)
        << said;
}

TEST_F(Inspect, SaysWhatAVectorFileIs) {
    const Matrix three{{3, 4, 6, 8, 0, -1}, 3, 2};
    write_npy(folder / "a.npy", three);
    write_half(folder / "b.npy", three);
    write_fvecs(folder / "c.fvecs", three);
    write_fbin(folder / "d.fbin", three);
    for (const std::string name : {"a.npy", "b.npy", "c.fvecs", "d.fbin"}) {
        const std::string type = name == "b.npy" ? "float16" : "float32";
        EXPECT_EQ(inspected(folder / name), folder / name +
                                                ": 3 rows of dimension 2, " +
                                                type + "; norms 1 to 10\n");
    }
    const std::string labels = folder / "labels.npy";
    write_labels(labels, 2, {1, 2, 3, 4});
    EXPECT_EQ(inspected(labels), labels + ": 2 rows of dimension 2, int64\n");
}

TEST_F(Inspect, VerifyReadsBeyondTheFirstRows) {
    Matrix many{std::vector<float>(20001, 1), 20001, 1};
    many.data[20000] = 50;
    const std::string file = folder / "many.fvecs";
    write_fvecs(file, many);
    const std::string short_look = inspected(file);
    EXPECT_NE(short_look.find("norms 1 to 1 in the first 10000 rows"),
              std::string::npos)
        << short_look;
    const std::string long_look = inspected(file, {"--verify"});
    EXPECT_NE(long_look.find("norms 1 to 50\n"), std::string::npos)
        << long_look;
}

TEST_F(Inspect, VerifyFindsADamagedTable) {
    done(fit("dis", "ip", table));
    const std::string whole = read_file(table);
    // In the offsets, and in the last bank list.
    for (const size_t at : {size_t{1000}, whole.size() - 3}) {
        std::string damaged = whole;
        damaged[at] ^= 1;
        write_file(table, damaged);
        inspected(table);  // the header is as it was
        expect_refusal(run({"inspect", table, "--verify"}), 1,
                       {table, "damaged"});
    }
}

TEST_F(Inspect, VerifyFindsADamagedVectorFile) {
    const std::string vectors = folder / "bad.fvecs";
    const std::string labels = folder / "bad.ivecs";
    write_fvecs(vectors, gallery);
    std::string content = read_file(vectors);
    content[100 * 7]++;  // the d of row 7
    write_file(vectors, content);
    write_file(labels, content);
    for (const std::string& file : {vectors, labels}) {
        expect_refusal(run({"inspect", file, "--verify"}), 1, {file, "row 7"});
    }
    Matrix holed = gallery;
    holed.data[24 * 31 + 5] = INFINITY;
    write_npy(gallery_file, holed);
    expect_refusal(run({"inspect", gallery_file, "--verify"}), 1,
                   {gallery_file, "row 31", "NaN or Inf"});
}

TEST_F(Inspect, NamesWhatItDoesNotKnow) {
    write_file(folder / "notes.txt", "not vectors");
    expect_refusal(run({"inspect", folder / "notes.txt"}), 1,
                   {folder / "notes.txt", ".npy"});
    expect_refusal(run({"inspect", folder / "absent.npy"}), 1,
                   {folder / "absent.npy", "No such file"});
}

}  // namespace
