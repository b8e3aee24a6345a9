// Oracle: the options' documented ranges; what no method takes.

#include "faiss_qbnorm/io/table_file.h"
#include "tests/cli/method_scene.h"

namespace {

using namespace cli;

class MethodErrors : public MethodScene {
  protected:
    const Command fit =
        "fit --gallery gallery.npy --querybank bank.npy --gallerybank "
        "others.npy --method dualis -o table.qbn";

    void refuse(const Command& command, int code, const Words& texts) const {
        SCOPED_TRACE(command.line());
        expect_refusal(run(command), code, texts);
        EXPECT_EQ(access((folder / "table.qbn").c_str(), F_OK), -1);
    }
};

TEST_F(MethodErrors, OptionsOutOfRangeAreWrongUsage) {
    const std::pair<const char*, Words> wrong[] = {
        {"--beta", {"0", "-1", "10001", "nan", "inf", "1e400", "x", "3x"}},
        {"--beta2", {"0", "-1", "10001", "nan", "inf", "x", "3x"}},
        {"--activation-k", {"0", "-1", "1073741825", "1.5", "x", "nan"}},
        {"--neighbours",
         {"0", "-1", "1073741825", "99999999999999999999", "1.5", "x"}},
        {"--alpha", {"-0.1", "100.1", "nan", "inf", "x", "1e400"}},
        {"--iterations", {"0", "-1", "1001", "4294967297", "1.5", "x"}},
    };
    for (const auto& [option, values] : wrong) {
        for (const std::string& value : values) {
            refuse(fit.with(option, value), 2, {option});
        }
        refuse(fit.with(option), 2, {option});  // and nothing
    }
    for (const char* method : {"none", "gc", "DIS", "sinkhorn", "", "is,dis"}) {
        refuse(fit.with("--method", method), 2, {"--method"});
    }
}

TEST_F(MethodErrors, TheEndsOfTheRangesAreTaken) {
    for (const char* words :
         {"--beta 10000 --beta2 10000", "--beta 1e-30 --beta2 1e-30",
          "--method nnn --alpha 0", "--method nnn --alpha 100",
          "--method csls --neighbours 1073741824",
          "--method dbsn --iterations 1", "--activation-k 1073741824"}) {
        Command command = fit;
        std::istringstream in(words);
        for (std::string option, value; in >> option >> value;) {
            command = command.with(option, value);
        }
        done(command);
        done("inspect table.qbn --verify");
    }
}

TEST_F(MethodErrors, BanksThatAreMissingOrWrong) {
    for (const char* method : {"dualis", "dualdis"}) {
        refuse(fit.with("--method", method).without("--gallerybank"), 1,
               {"needs a gallerybank"});
    }
    refuse(fit.with("--gallerybank", "none.npy"), 1, {"none.npy: "});
    write_npy(folder / "narrow.npy", testdata::unit(5, 8, 1));
    refuse(fit.with("--gallerybank", "narrow.npy"), 1,
           {"narrow.npy", "dimension 8", "24"});
    Matrix broken = gallerybank;
    broken.data[24 * 6 + 1] = INFINITY;
    write_npy(folder / "broken.npy", broken);
    refuse(fit.with("--gallerybank", "broken.npy"), 1, {"row 6"});
    refuse(fit.with("--method", "cent").with("--metric", "l2"), 1,
           {"cent is defined by the inner product"});
    refuse(fit.with("--method", "dualdis").with("--metric", "l2"), 1,
           {"dualdis"});
    // Nothing is written over a bank.
    expect_refusal(run(fit.with("-o", "others.npy")), 1, {"others.npy"});
    EXPECT_EQ(read_npy(folder / "others.npy").rows, 70);
}

TEST_F(MethodErrors, FoldRefusesWhatRanksByNoOffsetOrHasNoGate) {
    const Command fold =
        "fold --table table.qbn --gallery gallery.npy -o folded.faiss";
    done(fit.with("--method", "dualdis"));
    expect_refusal(run(fold), 1, {"dualdis does not fold"});
    for (const char* method : {"csls", "nnn", "cent", "dbsn", "dualis"}) {
        done(fit.with("--method", method));
        expect_refusal(run(fold.with("--activation", "active.npy")), 1,
                       {"table.qbn: method", method, "has no gate"});
    }
    EXPECT_EQ(access((folder / "folded.faiss").c_str(), F_OK), -1);
    EXPECT_EQ(access((folder / "active.npy").c_str(), F_OK), -1);
}

TEST_F(MethodErrors, MergeRefusesPartsOfOtherFits) {
    const auto part = [&](const char* rows, const char* file,
                          const Words& words) {
        Command command = fit.with("--rows", rows).with("-o", file);
        for (size_t i = 0; i < words.size(); i += 2) {
            command = command.with(words[i], words[i + 1]);
        }
        done(command);
    };
    part("0:500", "a.qbn", {});
    const std::vector<Words> others{
        {"--beta2", "4"},     {"--beta", "4"},
        {"--method", "dis"},  {"--method", "csls"},
        {"--method", "dbsn"}, {"--gallerybank", "bank.npy"}};
    for (const Words& other : others) {
        part("500:1000", "b.qbn", other);
        expect_refusal(run("merge a.qbn b.qbn -o whole.qbn"), 1,
                       {"were not fitted with the same"});
    }
    part("500:1000", "b.qbn", {});
    done("merge a.qbn b.qbn -o whole.qbn");
}

// A file of gc, which nobody fits, and of a method of two with one column.
TEST_F(MethodErrors, ForgedTablesAreRefused) {
    done(fit.with("--method", "csls"));
    auto forged = faiss_qbnorm::read_table(folder / "table.qbn");
    forged.columns[0].normalization.method = Method::gc;
    write_table(forged, folder / "gc.qbn");
    done(fit);
    forged = faiss_qbnorm::read_table(folder / "table.qbn");
    forged.columns.pop_back();
    write_table(forged, folder / "one.qbn");
    write_labels(folder / "labels.npy", 1, std::vector<idx_t>(60));
    write_npy(folder / "distances.npy", "<f4", shape(60, 1),
              bytes_of(std::vector<float>(60)));
    faiss::IndexFlat flat(24, faiss::METRIC_INNER_PRODUCT);
    write(flat);
    for (const char* table : {"gc.qbn", "one.qbn"}) {
        SCOPED_TRACE(table);
        for (const Command& command :
             {gallery_search, index_search,
              Command("rerank --table table.qbn --labels labels.npy "
                      "--distances distances.npy -o out"),
              Command("fold --table table.qbn --gallery gallery.npy -o out")}) {
            expect_refusal(run(command.with("--table", table)), 1,
                           {table[0] == 'g' ? "gc" : "dualis"});
        }
    }
}

}  // namespace
