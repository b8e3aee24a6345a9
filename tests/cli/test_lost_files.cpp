// Nothing is lost, and nothing damaged is used. Oracle: the files' own bytes,
// before and after.

#include "tests/cli/eval_scene.h"

namespace {

using namespace cli;

class Reports : public Scene {
  protected:
    const Command search =
        "search --table table.qbn --gallery gallery.npy --queries queries.npy "
        "-o out";

    // --json `file` is refused, and the file stays as it was.
    void expect_kept(const Command& command, const std::string& file) const {
        SCOPED_TRACE(command.line() + " --json " + file);
        const bool was = std::filesystem::exists(folder / file);
        const std::string before = was ? content(file) : "";
        expect_refusal(run(command.with("--json", file)), 1, {file});
        EXPECT_EQ(std::filesystem::exists(folder / file), was);
        if (was) {
            EXPECT_EQ(content(file), before);
        }
    }
};

TEST_F(Reports, ReplaceNoOtherFileOfTheirCommand) {
    for (const char* file : {"gallery.npy", "bank.npy", "table.qbn"}) {
        expect_kept(fit, file);
    }
    done(fit);
    for (const char* file : {"table.qbn", "gallery.npy", "queries.npy",
                             "out.labels.npy", "out.distances.npy"}) {
        expect_kept(search, file);
    }
    done(search);
    const Command rerank =
        "rerank --table table.qbn --labels out.labels.npy "
        "--distances out.distances.npy -o best";
    for (const char* file : {"out.labels.npy", "best.labels.npy"}) {
        expect_kept(rerank, file);
    }
    const Command eval =
        "eval --gallery gallery.npy --queries queries.npy --querybank bank.npy "
        "--plot plot.svg";
    for (const char* file : {"gallery.npy", "bank.npy", "plot.svg"}) {
        expect_kept(eval, file);
    }
    expect_kept("tune --gallery gallery.npy --querybank bank.npy", "bank.npy");
    expect_kept(
        "bank --gallery gallery.npy --querybank bank.npy --subsample 5 "
        "-o some.npy",
        "some.npy");
    expect_kept("inspect table.qbn", "table.qbn");
    expect_kept("merge table.qbn -o whole.qbn", "whole.qbn");
    expect_kept("fold --table table.qbn --gallery gallery.npy -o f.faiss",
                "gallery.npy");
    // The same file by another name.
    std::filesystem::create_hard_link(folder / "bank.npy", folder / "link.npy");
    expect_kept(fit, "link.npy");
}

TEST_F(Reports, DamagedTablesAreNotUsed) {
    done(fit);
    done(search);
    std::string bytes = content("table.qbn");
    bytes[bytes.size() / 2] ^= 1;
    write_file(folder / "table.qbn", bytes);
    for (const Command& command :
         {search.with("-o", "other"),
          Command("rerank --table table.qbn --labels out.labels.npy "
                  "--distances out.distances.npy -o best"),
          Command("fold --table table.qbn --gallery gallery.npy -o f.faiss")}) {
        SCOPED_TRACE(command.line());
        const long before = folder.count();
        expect_refusal(run(command), 1,
                       {"table.qbn: ", "damaged (wrong checksum)"});
        EXPECT_EQ(folder.count(), before);
    }
}

class AskersWithoutAnswer : public SmallEval {};

TEST_F(AskersWithoutAnswer, AreCountedAloud) {
    write_npy(folder / "items.npy", testdata::unit(30, 24, 31));
    const Command v2t = eval.without("--querybank")
                            .with("--gallerybank", "items.npy")
                            .with("--direction", "v2t");
    const idx_t nq = queries.rows;
    std::vector<idx_t> truth(nq, 3);  // all captions are of one item
    write_truth(truth);
    const std::string said = done(v2t.with("--groundtruth", "truth.npy"));
    const auto others = std::to_string(gallery.rows - 1);
    EXPECT_NE(said.find(others + " of " + std::to_string(gallery.rows) +
                        " queries have no right item: they count as misses"),
              std::string::npos)
        << said;
    const json report = read_json(folder / "eval.json");
    EXPECT_EQ(report["without_right_item"], gallery.rows - 1);
    EXPECT_EQ(report["direction"], "v2t");
    EXPECT_EQ(report["queries"], gallery.rows);
    EXPECT_EQ(report["items"], nq);
    EXPECT_EQ(report["bank"], 30);
    EXPECT_EQ(report["methods"][2]["normalization"],
              "dis, beta 20, activation_k 1");
}

TEST_F(AskersWithoutAnswer, AMatrixThatLiesTheWrongWayIsRefused) {
    write_npy(folder / "S.npy", testdata::gaussian(40, 8, 1));
    write_npy(folder / "P.npy", testdata::gaussian(12, 8, 2));
    expect_refused(
        "eval --similarities S.npy --querybank-similarities P.npy "
        "--direction v2t",
        {"S.npy has 40 items that ask and S.npy only 8 captions", "transpose"});
}

}  // namespace
