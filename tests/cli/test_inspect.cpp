// Oracle: the numbers that the files were made with.

#include "faiss_qbnorm/io/table_file.h"
#include "tests/cli/run.h"

namespace {

using namespace cli;
using nlohmann::json;

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
    two.columns[1].normalization.beta2 = 12.5;
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
