// Oracle: the promise of the command line. Wrong usage is 2, a failure is 1;
// one line on standard error names the culprit; no file appears or changes.

#include <faiss/IndexFlat.h>
#include <faiss/IndexIDMap.h>
#include <faiss/index_io.h>
#include <sys/resource.h>

#include <csignal>

#include "tests/cli/run.h"

namespace {

using namespace cli;

// Each test changes a word of these commands, which are right as they are.
class Errors : public Scene {
  protected:
    const Command fit_out = fit.with("-o", "out");
    const Command merge = "merge a.qbn b.qbn -o out";
    const Command search =
        "search --table table.qbn --gallery gallery.npy --queries queries.npy "
        "-o out";
    const Command index_search =
        "search --table table.qbn --index index.faiss --queries queries.npy "
        "-o out";
    const Command rerank =
        "rerank --table table.qbn --labels labels.npy "
        "--distances distances.npy -o out";
    const Command fold = "fold --table table.qbn --gallery gallery.npy -o out";
    const Command eval =
        "eval --gallery gallery.npy --queries queries.npy "
        "--querybank bank.npy --json out";
    const Command inspect = "inspect table.qbn";
    const std::vector<Command> all{fit_out, merge, search, index_search,
                                   rerank,  fold,  eval,   inspect};

    Errors() {
        done(fit);
        done(fit.with("--rows 0:400").with("-o", "a.qbn"));
        done(fit.with("--rows 400:1000").with("-o", "b.qbn"));
        write_flat(gallery);
        write_labels(folder / "labels.npy", 2, {0, 1, 2, 3});
        write_npy(folder / "distances.npy", Matrix{{4, 3, 2, 1}, 2, 2});
    }

    void write_flat(const Matrix& vectors) const {
        faiss::IndexFlatIP index(vectors.d);
        index.add(vectors.rows, vectors.data.data());
        faiss::write_index(&index, (folder / "index.faiss").c_str());
    }

    void expect_error(int code, const Command& command, const Words& texts,
                      const Words& settings) const {
        SCOPED_TRACE(command.line());
        const long before = folder.count();
        expect_refusal(run(command, settings), code, texts);
        EXPECT_EQ(folder.count(), before) << "files came or went";
    }

    void expect_usage(const Command& command,
                      const std::string& culprit) const {
        expect_error(2, command, {culprit, "see qbnorm --help"}, {});
    }

    void expect_failure(const Command& command, const Words& texts,
                        const Words& settings = {}) const {
        expect_error(1, command, texts, settings);
    }
};

TEST_F(Errors, UnchangedTheCommandsAreRight) {
    const long before = folder.count();
    for (const Command& command : all) done(command);
    EXPECT_EQ(folder.count(), before + 3) << "out, out.distances, out.labels";
    done("--help");
    done("search --help");
}

// ---- wrong usage: 2 ----

TEST_F(Errors, MissingAndUnknownWordsAreWrongUsage) {
    expect_usage("", "subcommand");
    expect_usage("fix", "subcommand");
    expect_usage("merge -o out", "parts");
    expect_usage("inspect", "file");
    expect_usage("inspect table.qbn --machine", "--machine");
    expect_usage("fit --gallery", "--gallery");
    for (const char* option : {"--gallery", "--querybank", "--method", "-o"}) {
        expect_usage(fit_out.without(option), option);
    }
    for (const char* option : {"--table", "--queries", "-o"}) {
        expect_usage(search.without(option), option);
    }
    for (const char* option : {"--table", "--labels", "--distances", "-o"}) {
        expect_usage(rerank.without(option), option);
    }
    for (const char* option : {"--gallery", "--queries", "--querybank"}) {
        expect_usage(eval.without(option), option);
    }
    expect_usage(merge.without("-o"), "-o");
    for (const Command& command : all) {
        expect_usage(command.with("--frobnicate"), "--frobnicate");
    }
}

TEST_F(Errors, ValuesOutOfRangeAreWrongUsage) {
    for (const char* beta :
         {"0", "-1", "nan", "inf", "10001", "1e-46", "x", "5x", ""}) {
        expect_usage(fit_out.with("--beta", beta), "--beta");
        expect_usage(eval.with("--beta", beta), "--beta");
    }
    for (const char* k : {"0", "-3", "1.5", "x", "99999999999",
                          "4611686018427387904", "9223372036854775807"}) {
        expect_usage(fit_out.with("--activation-k", k), "--activation-k");
        expect_usage(eval.with("--activation-k", k), "--activation-k");
        expect_usage(search.with("-k", k), "-k");
        expect_usage(rerank.with("-k", k), "-k");
    }
    for (const char* rows : {"5", "5:", ":5", ":", "5:5", "6:5", "-1:4", "a:b",
                             "1:2:3", "1-2", "0:9223372036854775808", ""}) {
        expect_usage(fit_out.with("--rows", rows), "--rows");
    }
    for (const char* factor : {"0", "0.5", "-1", "nan", "x"}) {
        expect_usage(index_search.with("--k-factor", factor), "--k-factor");
    }
    for (const Command& command : all) {
        expect_usage(command.with("--threads", "0"), "--threads");
        expect_usage(command.with("--threads", "1000000"), "--threads");
    }
}

TEST_F(Errors, UnknownNamesAreWrongUsage) {
    for (const char* method : {"none", "DIS", "softmax"}) {
        expect_usage(fit_out.with("--method", method), method);
    }
    expect_usage(eval.with("--methods", "is,softmax"), "softmax");
    for (const Command& command : {fit_out, search, eval}) {
        expect_usage(command.with("--metric", "cosine"), "cosine");
    }
    for (const Command& command : all) {
        expect_usage(command.with("--engine", "nonsense"), "nonsense");
        expect_usage(command.with("--precision", "fp8"), "fp8");
    }
}

TEST_F(Errors, OptionsThatExcludeOrNeedOthersAreWrongUsage) {
    expect_usage(search.with("--index", "index.faiss"), "--index");
    expect_usage(search.without("--gallery"), "--gallery");
    expect_usage(search.with("--index-params nprobe=2"), "--index-params");
    expect_usage(search.with("--k-factor 3"), "--k-factor");
}

// ---- failures: 1 ----

TEST_F(Errors, MissingFilesAreNamed) {
    const auto expect_named = [&](const Command& command,
                                  const Words& options) {
        for (const std::string& option : options) {
            expect_failure(command.with(option, "absent.npy"),
                           {"absent.npy: ", "No such file"});
        }
    };
    expect_named(fit_out, {"--gallery", "--querybank"});
    expect_named(search, {"--table", "--gallery", "--queries"});
    expect_named(index_search, {"--table", "--index", "--queries"});
    expect_named(rerank, {"--table", "--labels", "--distances"});
    expect_named(fold, {"--table", "--gallery", "--index"});
    expect_named(eval,
                 {"--gallery", "--queries", "--querybank", "--groundtruth"});
    expect_failure("merge a.qbn absent.npy -o out", {"absent.npy: "});
    expect_failure(fit_out.with("--gallery", "."), {".: "});
}

TEST_F(Errors, FilesOfAnotherKindAreNamed) {
    expect_failure(fit_out.with("--gallery", "table.qbn"),
                   {"table.qbn: ", ".npy"});
    expect_failure(fit_out.with("--querybank", "labels.npy"),
                   {"labels.npy: holds int64", "float32"});
    expect_failure(search.with("--table", "gallery.npy"),
                   {"gallery.npy: is not a .qbn table"});
    expect_failure("merge a.qbn gallery.npy -o out",
                   {"gallery.npy: is not a .qbn table"});
    write_fvecs(folder / "lies.fbin", gallery);
    expect_failure(fit_out.with("--gallery", "lies.fbin"),
                   {"lies.fbin: ", "is it such a file"});
    const std::string whole = content("gallery.npy");
    write_file(folder / "gallery.npy", whole.substr(0, whole.size() - 4));
    expect_failure(search, {"gallery.npy: ", "truncated"});
}

TEST_F(Errors, WrongDimensionsNameTheFiles) {
    write_npy(folder / "narrow.npy", testdata::unit(50, 23, 4));
    const Words texts{"narrow.npy: has dimension 23", "has 24"};
    expect_failure(fit_out.with("--querybank", "narrow.npy"), texts);
    expect_failure(search.with("--queries", "narrow.npy"), texts);
    expect_failure(index_search.with("--queries", "narrow.npy"), texts);
    expect_failure(eval.with("--queries", "narrow.npy"), texts);
    expect_failure(eval.with("--querybank", "narrow.npy"), texts);
    write_npy(folder / "queries.npy", testdata::unit(60, 23, 4));
    expect_failure(search.with("--gallery", "narrow.npy"),
                   {"table.qbn, narrow.npy: ", "d = 24", "d = 23"});
}

TEST_F(Errors, NanNamesTheFileAndTheRow) {
    for (const float hole : {NAN, INFINITY}) {
        Matrix holed = gallery;
        holed.data[24 * 31 + 5] = hole;
        write_npy(folder / "holed.npy", holed);
        const Words texts{"holed.npy: row 31 holds NaN or Inf"};
        expect_failure(fit_out.with("--gallery", "holed.npy"), texts);
        expect_failure(fit_out.with("--gallery", "holed.npy")
                           .with("--rows 20:40 --metric l2 --normalize"),
                       texts);
        expect_failure(fit_out.with("--querybank", "holed.npy"), texts);
        expect_failure(search.with("--gallery", "holed.npy"), texts);
        expect_failure(search.with("--queries", "holed.npy"), texts);
        expect_failure(index_search.with("--queries", "holed.npy"), texts);
        expect_failure(eval.with("--gallery", "holed.npy"), texts);
        expect_failure(eval.with("--queries", "holed.npy"), texts);
        expect_failure(eval.with("--querybank", "holed.npy"), texts);
    }
}

TEST_F(Errors, EmptyFilesAreNamed) {
    write_npy(folder / "empty.npy", "<f4", "(0, 24)", "");
    write_file(folder / "empty.fvecs", "");
    for (const std::string file : {"empty.npy", "empty.fvecs"}) {
        expect_failure(fit_out.with("--querybank", file), {file + ": "});
        expect_failure(fit_out.with("--gallery", file), {file + ": "});
        expect_failure(search.with("--queries", file), {file + ": "});
        expect_failure(eval.with("--querybank", file), {file + ": "});
    }
}

TEST_F(Errors, RowsPastTheGalleryAreNamed) {
    expect_failure(fit_out.with("--rows 990:1001"),
                   {"990:1001", "gallery.npy", "1000"});
    done(fit_out.with("--rows 990:1000"));
}

TEST_F(Errors, AnotherGalleryIsNotTheTables) {
    const Words not_it{"gallery.npy", "not the gallery", "fit it again"};
    write_npy(folder / "gallery.npy", testdata::unit(1000, 24, 5));
    expect_failure(search, not_it);
    Matrix swapped = gallery;  // rows 3 and 4 change places
    std::swap_ranges(swapped.data.begin() + 24 * 3,
                     swapped.data.begin() + 24 * 4,
                     swapped.data.begin() + 24 * 4);
    write_npy(folder / "gallery.npy", swapped);
    expect_failure(search, not_it);
    write_flat(swapped);
    expect_failure(index_search,
                   {"table.qbn, index.faiss: ", "fingerprints differ"});
    Matrix shorter = gallery;
    shorter.rows = 999;
    shorter.data.resize(999 * 24);
    write_npy(folder / "gallery.npy", shorter);
    expect_failure(search, {"table.qbn, gallery.npy: ", "1000", "999"});
    write_flat(shorter);
    expect_failure(index_search, {"table.qbn, index.faiss: ", "1000", "999"});
    Matrix doubled = gallery;
    for (float& x : doubled.data) x *= 2;
    write_npy(folder / "gallery.npy", doubled);
    done(fit);
    expect_failure(search.with("--normalize"), not_it);
    done(search);
}

TEST_F(Errors, TheTablesMetricIsAskedFor) {
    expect_failure(search.with("--metric l2"),
                   {"table.qbn: ", "give --metric ip"});
    done(fit.with("-o", "l2.qbn").with("--metric l2"));
    expect_failure(search.with("--table", "l2.qbn"),
                   {"l2.qbn: ", "give --metric l2"});
    expect_failure(index_search.with("--table", "l2.qbn").with("--metric l2"),
                   {"l2.qbn, index.faiss: ", "metric ip"});
}

TEST_F(Errors, PartsMustBeMergedFirst) {
    for (const Command& command : {search, index_search, rerank}) {
        expect_failure(command.with("--table", "a.qbn"),
                       {"a.qbn", "0:400", "qbnorm merge"});
    }
}

TEST_F(Errors, DamagedTablesAreNamed) {
    const std::string whole = content("a.qbn");
    for (const size_t size : {size_t{20}, size_t{100}, whole.size() - 1}) {
        write_file(folder / "bad.qbn", whole.substr(0, size));
        const Words texts{"bad.qbn: ", "truncated"};
        for (const Command& command : {search, index_search, rerank}) {
            expect_failure(command.with("--table", "bad.qbn"), texts);
        }
        expect_failure("merge bad.qbn b.qbn -o out", texts);
        expect_failure("inspect bad.qbn", texts);
    }
    std::string flipped = whole;
    flipped[flipped.size() - 3] ^= 1;
    write_file(folder / "bad.qbn", flipped);
    expect_failure("merge bad.qbn b.qbn -o out", {"bad.qbn: ", "damaged"});
}

TEST_F(Errors, PartsThatDoNotJoinAreNamed) {
    const Command right = fit.with("-o", "c.qbn").with("--rows", "400:1000");
    const auto expect_apart = [&](const Command& other,
                                  const std::string& why) {
        done(other);
        expect_failure("merge a.qbn c.qbn -o out", {"a.qbn, c.qbn: ", why});
    };
    const std::string apart = "do not join";
    expect_apart(right.with("--rows", "399:1000"), apart);
    expect_apart(right.with("--rows", "401:1000"), apart);
    expect_apart(right.with("--rows", "0:400"), apart);
    const std::string other = "not fitted with the same bank";
    expect_apart(right.with("--beta", "21"), other);
    expect_apart(right.with("--activation-k", "2"), other);
    expect_apart(right.with("--method", "is"), other);
    expect_apart(right.with("--querybank", "queries.npy"), other);
    expect_apart(right.with("--metric", "l2"), "not of one gallery");
    done(right);
    done("merge a.qbn c.qbn -o out");
}

TEST_F(Errors, FoldersThatAreNotThereAreNamed) {
    const Words texts{"absent/out", "No such file"};
    for (const Command& command : all) {
        expect_failure(command.with("--json", "absent/out"), texts);
    }
    for (const Command& command :
         {fit_out, merge, search, index_search, rerank, fold}) {
        expect_failure(command.with("-o", "absent/out"), texts);
    }
    expect_failure(fold.with("--activation", "absent/out"), texts);
    expect_failure(fit_out.with("-o", "."), {".: ", "it is a folder"});
}

TEST_F(Errors, FilesThatAreNoIndexAreNamed) {
    const std::string whole = content("index.faiss");
    for (const std::string& bytes :
         {std::string("not an index\nof FAISS at all"), std::string(),
          whole.substr(0, whole.size() - 1)}) {
        write_file(folder / "index.faiss", bytes);
        // FAISS 1.7.3 leaks what it had read when it refuses a file.
        expect_failure(index_search, {"index.faiss: FAISS refuses it"},
                       {"ASAN_OPTIONS=detect_leaks=0"});
    }
    write_file(folder / "index.faiss", whole);
    expect_failure(index_search.with("--index-params", "speed=11"),
                   {"index.faiss: ", "speed"});
    done(index_search);
}

TEST_F(Errors, IndexesWithLabelsOfTheirOwnAreNamed) {
    faiss::IndexFlatIP flat(24);
    faiss::IndexIDMap mapped(&flat);
    std::vector<idx_t> ids(gallery.rows);
    std::iota(ids.begin(), ids.end(), 7);
    mapped.add_with_ids(gallery.rows, gallery.data.data(), ids.data());
    faiss::write_index(&mapped, (folder / "index.faiss").c_str());
    expect_failure(index_search, {"index.faiss: ", "labels of its own"});
}

TEST_F(Errors, InputsAreNeverReplaced) {
    const std::string before = content("bank.npy");
    expect_failure(fit.with("-o", "gallery.npy"), {"gallery.npy: is an input"});
    expect_failure(fit.with("-o", "./bank.npy"), {"bank.npy: is an input"});
    expect_failure("merge a.qbn b.qbn -o b.qbn", {"b.qbn: is an input"});
    write_labels(folder / "x.labels.npy", 2, {0, 1, 2, 3});
    expect_failure(
        "rerank --table table.qbn --labels x.labels.npy "
        "--distances distances.npy -o x",
        {"x.labels.npy: is an input"});
    EXPECT_EQ(content("bank.npy"), before);
}

TEST_F(Errors, TheEnvironmentForcesTheEngine) {
    const Words nonsense{"QBNORM_ENGINE=nonsense"};
    for (const Command& command : all) {
        expect_failure(command, {"nonsense", "cpu"}, nonsense);
    }
    // --engine goes before it, and is the engine that runs.
    for (const Command& command : all) {
        write_file(folder / "report.json", "{}");
        done(command.with("--json", "report.json").with("--engine cpu"),
             nonsense);
        EXPECT_EQ(read_json(folder / "report.json")["engine"], "cpu")
            << command.line();
    }
    done(fit_out.with("--json", "report.json"), {"QBNORM_ENGINE=cpu:blas"});
    EXPECT_EQ(read_json(folder / "report.json")["engine"], "cpu:blas");
}

// ---- what stands stays ----

TEST_F(Errors, FailuresLeaveEarlierFilesAsTheyWere) {
    done(search);
    const Words names{"out.distances.npy", "out.labels.npy", "table.qbn"};
    Words before;
    for (const std::string& name : names) before.push_back(content(name));
    Matrix holed = gallery;
    holed.data[0] = NAN;
    write_npy(folder / "gallery.npy", holed);
    expect_failure(search, {"gallery.npy: row 0 "});
    expect_failure(fit, {"gallery.npy: row 0 "});
    for (size_t i = 0; i < names.size(); i++) {
        EXPECT_TRUE(content(names[i]) == before[i]) << names[i];
    }
}

// A limit on the size of files, as a full disk would be one.
class SmallDisk {
  public:
    explicit SmallDisk(rlim_t bytes) {
        std::signal(SIGXFSZ, SIG_IGN);  // runs inherit it: write() fails
        getrlimit(RLIMIT_FSIZE, &before_);
        const rlimit now{bytes, before_.rlim_max};
        setrlimit(RLIMIT_FSIZE, &now);
    }
    SmallDisk(const SmallDisk&) = delete;
    SmallDisk& operator=(const SmallDisk&) = delete;
    ~SmallDisk() {
        setrlimit(RLIMIT_FSIZE, &before_);
        std::signal(SIGXFSZ, SIG_DFL);
    }

  private:
    rlimit before_{};
};

TEST_F(Errors, AFullDiskLeavesNothingHalfWritten) {
    const SmallDisk disk(2000);  // 60 x 7 distances fit, as many labels do not
    expect_failure(search.with("-k 7"), {"out.labels.npy: cannot write"});
    expect_failure(search.with("-k 10"), {"out.distances.npy: cannot write"});
    expect_failure(index_search, {"out.distances.npy: cannot write"});
    expect_failure(fit_out, {"out: cannot write"});
    expect_failure(merge, {"out: cannot write"});
    expect_failure(fold.with("--activation", "active.npy"),
                   {"out: cannot write"});
    done(search.with("-k 3"));
}

}  // namespace
