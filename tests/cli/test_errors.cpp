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

/// The command with another value for `option`, or with the option added.
Words with(Words command, const std::string& option, const std::string& value) {
    const auto at = std::find(command.begin(), command.end(), option);
    if (at == command.end()) return command + Words{option, value};
    *(at + 1) = value;
    return command;
}

Words without(Words command, const std::string& option) {
    const auto at = std::find(command.begin(), command.end(), option);
    command.erase(at, at + 2);
    return command;
}

// Each test changes one word of these commands, which are right as they are.
class Errors : public Scene {
  protected:
    const std::string table = folder / "table.qbn";
    const std::string index_file = folder / "index.faiss";
    const std::string labels_file = folder / "labels.npy";
    const std::string distances_file = folder / "distances.npy";
    const std::string part_a = folder / "a.qbn";
    const std::string part_b = folder / "b.qbn";
    const std::string out = folder / "out";

    const Words fit_out = fit("dis", "ip", out);
    const Words merge_out{"merge", part_a, part_b, "-o", out};
    const Words search_out{"search",     "--table",    table,
                           "--gallery",  gallery_file, "--queries",
                           queries_file, "-o",         out};
    const Words index_out{"search",     "--table",  table,
                          "--index",    index_file, "--queries",
                          queries_file, "-o",       out};
    const Words rerank_out{"rerank",       "--table",   table,
                           "--labels",     labels_file, "--distances",
                           distances_file, "-o",        out};
    const Words eval_out{"eval",      "--gallery",  gallery_file,
                         "--queries", queries_file, "--querybank",
                         bank_file,   "--json",     out};

    Errors() {
        done(fit("dis", "ip", table));
        done(fit("dis", "ip", part_a) + Words{"--rows", "0:400"});
        done(fit("dis", "ip", part_b) + Words{"--rows", "400:1000"});
        write_flat(gallery);
        write_labels(labels_file, 2, {0, 1, 2, 3});
        write_npy(distances_file, Matrix{{4, 3, 2, 1}, 2, 2});
    }

    void write_flat(const Matrix& vectors) const {
        faiss::IndexFlatIP index(vectors.d);
        index.add(vectors.rows, vectors.data.data());
        faiss::write_index(&index, index_file.c_str());
    }

    void expect_error(int code, const Words& command, const Words& texts,
                      const Words& settings = {}) const {
        SCOPED_TRACE(joined(command));
        const long before = folder.count();
        expect_refusal(run(command, settings), code, texts);
        EXPECT_EQ(folder.count(), before) << "files came or went";
    }

    void expect_usage(const Words& command, const std::string& culprit) const {
        expect_error(2, command, {culprit, "see qbnorm --help"});
    }

    void expect_failure(const Words& command, const Words& texts,
                        const Words& settings = {}) const {
        expect_error(1, command, texts, settings);
    }
};

TEST_F(Errors, UnchangedTheCommandsAreRight) {
    const long before = folder.count();
    for (const Words& command :
         {fit_out, merge_out, eval_out, search_out, index_out, rerank_out}) {
        done(command);
    }
    EXPECT_EQ(folder.count(), before + 3) << "out, out.distances, out.labels";
    done({"--help"});
    done({"search", "--help"});
}

// ---- wrong usage: 2 ----

TEST_F(Errors, MissingAndUnknownWordsAreWrongUsage) {
    expect_usage({}, "subcommand");
    expect_usage({"fix"}, "subcommand");
    for (const std::string option :
         {"--gallery", "--querybank", "--method", "-o"}) {
        expect_usage(without(fit_out, option), option);
    }
    for (const std::string option : {"--table", "--queries", "-o"}) {
        expect_usage(without(search_out, option), option);
    }
    for (const std::string option :
         {"--table", "--labels", "--distances", "-o"}) {
        expect_usage(without(rerank_out, option), option);
    }
    for (const std::string option : {"--gallery", "--queries", "--querybank"}) {
        expect_usage(without(eval_out, option), option);
    }
    expect_usage(without(merge_out, "-o"), "-o");
    expect_usage({"merge", "-o", out}, "parts");
    expect_usage({"inspect"}, "file");
    for (const Words& command :
         {fit_out, merge_out, search_out, rerank_out, eval_out}) {
        expect_usage(command + Words{"--frobnicate"}, "--frobnicate");
    }
    expect_usage({"fit", "--gallery"}, "--gallery");
}

TEST_F(Errors, ValuesOutOfRangeAreWrongUsage) {
    for (const std::string beta :
         {"0", "-1", "nan", "inf", "10001", "1e-46", "x", "5x", ""}) {
        expect_usage(with(fit_out, "--beta", beta), "--beta");
        expect_usage(with(eval_out, "--beta", beta), "--beta");
    }
    const std::string most = "9223372036854775807";
    for (const std::string k : {"0", "-3", "1.5", "x", most.c_str(),
                                "4611686018427387904", "99999999999"}) {
        expect_usage(with(fit_out, "--activation-k", k), "--activation-k");
        expect_usage(with(eval_out, "--activation-k", k), "--activation-k");
        expect_usage(with(search_out, "-k", k), "-k");
        expect_usage(with(rerank_out, "-k", k), "-k");
    }
    for (const std::string rows :
         {"5", "5:", ":5", ":", "5:5", "6:5", "-1:4", "a:b", "1:2:3", "1-2",
          "0:9223372036854775808", ""}) {
        expect_usage(with(fit_out, "--rows", rows), "--rows");
    }
    for (const std::string factor : {"0", "0.5", "-1", "nan", "x"}) {
        expect_usage(with(index_out, "--k-factor", factor), "--k-factor");
    }
    for (const Words& command :
         {fit_out, merge_out, search_out, rerank_out, eval_out}) {
        expect_usage(with(command, "--threads", "0"), "--threads");
        expect_usage(with(command, "--threads", "1000000"), "--threads");
    }
}

TEST_F(Errors, UnknownNamesAreWrongUsage) {
    for (const std::string method : {"none", "DIS", "softmax"}) {
        expect_usage(with(fit_out, "--method", method), method);
    }
    expect_usage(with(eval_out, "--methods", "is,softmax"), "softmax");
    for (const Words& command : {fit_out, search_out, eval_out}) {
        expect_usage(with(command, "--metric", "cosine"), "cosine");
    }
    for (const Words& command : {fit_out, merge_out, search_out, rerank_out,
                                 eval_out, Words{"inspect", table}}) {
        expect_usage(with(command, "--engine", "nonsense"), "nonsense");
    }
}

TEST_F(Errors, OptionsThatExcludeOrNeedOthersAreWrongUsage) {
    expect_usage(with(search_out, "--index", index_file), "--index");
    expect_usage(without(search_out, "--gallery"), "--gallery");
    expect_usage(with(search_out, "--index-params", "nprobe=2"),
                 "--index-params");
    expect_usage(with(search_out, "--k-factor", "3"), "--k-factor");
}

// ---- failures: 1 ----

TEST_F(Errors, MissingFilesAreNamed) {
    const std::string absent = folder / "absent.npy";
    const auto expect_named = [&](const Words& command, const Words& options) {
        for (const std::string& option : options) {
            expect_failure(with(command, option, absent),
                           {absent, "No such file"});
        }
    };
    expect_named(fit_out, {"--gallery", "--querybank"});
    expect_named(search_out, {"--table", "--gallery", "--queries"});
    expect_named(index_out, {"--table", "--index", "--queries"});
    expect_named(rerank_out, {"--table", "--labels", "--distances"});
    expect_named(eval_out,
                 {"--gallery", "--queries", "--querybank", "--groundtruth"});
    expect_failure({"merge", part_a, absent, "-o", out}, {absent});
    expect_failure(with(fit_out, "--gallery", "."), {".: "});
}

TEST_F(Errors, FilesOfAnotherKindAreNamed) {
    expect_failure(with(fit_out, "--gallery", table), {table, ".npy"});
    expect_failure(with(fit_out, "--querybank", labels_file),
                   {labels_file, "int64", "float32"});
    expect_failure(with(search_out, "--table", gallery_file),
                   {gallery_file, "not a .qbn table"});
    expect_failure({"merge", part_a, gallery_file, "-o", out}, {gallery_file});
    write_fvecs(folder / "lies.fbin", gallery);
    expect_failure(with(fit_out, "--gallery", folder / "lies.fbin"),
                   {folder / "lies.fbin", "truncated or not such a file"});
    std::string cut = read_file(gallery_file);
    cut.resize(cut.size() - 4);
    write_file(gallery_file, cut);
    expect_failure(search_out, {gallery_file, "truncated"});
}

TEST_F(Errors, WrongDimensionsNameTheFile) {
    const std::string narrow = folder / "narrow.npy";
    write_npy(narrow, testdata::unit(50, 23, 4));
    expect_failure(with(fit_out, "--querybank", narrow),
                   {narrow, "23", gallery_file, "24"});
    expect_failure(with(search_out, "--queries", narrow),
                   {narrow, "23", gallery_file, "24"});
    expect_failure(with(index_out, "--queries", narrow),
                   {narrow, "23", index_file, "24"});
    expect_failure(with(eval_out, "--queries", narrow),
                   {narrow, "23", gallery_file, "24"});
    expect_failure(with(eval_out, "--querybank", narrow),
                   {narrow, "23", gallery_file, "24"});
    write_npy(queries_file, testdata::unit(60, 23, 4));
    expect_failure(with(search_out, "--gallery", narrow), {table, narrow});
}

TEST_F(Errors, NanNamesTheFileAndTheRow) {
    const std::string holed = folder / "holed.npy";
    for (const float hole : {NAN, INFINITY}) {
        Matrix vectors = gallery;
        vectors.data[24 * 31 + 5] = hole;
        write_npy(holed, vectors);
        const Words texts{holed, "row 31 ", "NaN or Inf"};
        expect_failure(with(fit_out, "--gallery", holed), texts);
        expect_failure(with(fit_out, "--querybank", holed), texts);
        expect_failure(
            with(with(fit_out, "--gallery", holed), "--rows", "20:40") +
                Words{"--normalize", "--metric", "l2"},
            texts);
        expect_failure(with(search_out, "--gallery", holed), texts);
        expect_failure(with(search_out, "--queries", holed), texts);
        expect_failure(with(index_out, "--queries", holed), texts);
        expect_failure(with(eval_out, "--gallery", holed), texts);
        expect_failure(with(eval_out, "--queries", holed), texts);
        expect_failure(with(eval_out, "--querybank", holed), texts);
    }
}

TEST_F(Errors, EmptyFilesAreNamed) {
    const std::string empty = folder / "empty.npy";
    write_npy(empty, "<f4", "(0, 24)", "");
    write_file(folder / "empty.fvecs", "");
    for (const std::string& file : {empty, folder / "empty.fvecs"}) {
        expect_failure(with(fit_out, "--querybank", file), {file});
        expect_failure(with(fit_out, "--gallery", file), {file});
        expect_failure(with(search_out, "--queries", file), {file});
        expect_failure(with(eval_out, "--querybank", file), {file});
    }
}

TEST_F(Errors, RowsPastTheGalleryAreNamed) {
    expect_failure(with(fit_out, "--rows", "990:1001"),
                   {"990:1001", gallery_file, "1000"});
    done(with(fit_out, "--rows", "990:1000"));
}

TEST_F(Errors, AnotherGalleryIsNotTheTables) {
    const std::string other = folder / "other.npy";
    const Words texts{other, "not the gallery that the table was fitted on"};
    write_npy(other, testdata::unit(1000, 24, 5));
    expect_failure(with(search_out, "--gallery", other), texts);
    Matrix shuffled = gallery;  // rows 3 and 4 change places
    std::swap_ranges(shuffled.data.begin() + 24 * 3,
                     shuffled.data.begin() + 24 * 4,
                     shuffled.data.begin() + 24 * 4);
    write_npy(other, shuffled);
    expect_failure(with(search_out, "--gallery", other), texts);
    Matrix shorter = gallery;
    shorter.rows = 999;
    shorter.data.resize(999 * 24);
    write_npy(other, shorter);
    expect_failure(with(search_out, "--gallery", other),
                   {table, other, "1000", "999"});
    write_flat(shuffled);
    expect_failure(index_out, {table, index_file, "fingerprints differ"});
    write_flat(shorter);
    expect_failure(index_out, {table, index_file, "1000", "999"});
}

TEST_F(Errors, TheTablesMetricIsAskedFor) {
    expect_failure(with(search_out, "--metric", "l2"),
                   {table, "metric ip", "--metric ip"});
    done(with(fit("dis", "l2", folder / "l2.qbn"), "--beta", "5"));
    expect_failure(with(search_out, "--table", folder / "l2.qbn"),
                   {folder / "l2.qbn", "metric l2", "--metric l2"});
    expect_failure(
        with(with(index_out, "--table", folder / "l2.qbn"), "--metric", "l2"),
        {folder / "l2.qbn", index_file, "metric ip"});
}

TEST_F(Errors, PartsMustBeMergedFirst) {
    for (const Words& command : {search_out, index_out, rerank_out}) {
        expect_failure(with(command, "--table", part_a),
                       {part_a, "0:400", "qbnorm merge"});
    }
}

TEST_F(Errors, DamagedTablesAreNamed) {
    const std::string bad = folder / "bad.qbn";
    const std::string whole = read_file(part_a);
    write_file(bad, "");
    for (const size_t size : {size_t{20}, size_t{100}, whole.size() - 1}) {
        write_file(bad, whole.substr(0, size));
        for (const Words& command : {search_out, index_out, rerank_out}) {
            expect_failure(with(command, "--table", bad), {bad});
        }
        expect_failure({"merge", bad, part_b, "-o", out}, {bad, "truncated"});
        expect_failure({"inspect", bad}, {bad, "truncated"});
    }
    std::string flipped = whole;
    flipped[flipped.size() - 3] ^= 1;
    write_file(bad, flipped);
    expect_failure({"merge", bad, part_b, "-o", out}, {bad, "damaged"});
}

TEST_F(Errors, PartsThatDoNotJoinAreNamed) {
    const std::string other = folder / "other.qbn";
    const auto expect_apart = [&](const Words& options,
                                  const std::string& say) {
        done(with(fit("dis", "ip", other), options[0], options[1]) +
             Words{options.begin() + 2, options.end()});
        expect_failure({"merge", part_a, other, "-o", out},
                       {part_a, other, say});
    };
    expect_apart({"--rows", "399:1000"}, "do not join");
    expect_apart({"--rows", "401:1000"}, "do not join");
    expect_apart({"--rows", "0:400"}, "do not join");
    expect_apart({"--rows", "400:1000", "--beta", "21"}, "same bank");
    expect_apart({"--rows", "400:1000", "--activation-k", "2"}, "same bank");
    expect_apart({"--method", "is", "--rows", "400:1000"}, "same bank");
    expect_apart({"--querybank", queries_file, "--rows", "400:1000"},
                 "same bank");
    expect_apart({"--metric", "l2", "--rows", "400:1000"},
                 "not of one gallery");
    done(with(fit("dis", "ip", other), "--rows", "400:1000"));
    done({"merge", part_a, other, "-o", out});
}

TEST_F(Errors, FoldersThatAreNotThereAreNamed) {
    const std::string nowhere = folder / "absent/out";
    for (const Words& command :
         {fit_out, merge_out, search_out, index_out, rerank_out}) {
        expect_failure(with(command, "-o", nowhere), {nowhere, "No such file"});
    }
    for (const Words& command :
         {fit_out, merge_out, search_out, index_out, rerank_out, eval_out,
          Words{"inspect", table}}) {
        expect_failure(with(command, "--json", nowhere),
                       {nowhere, "No such file"});
    }
    expect_failure(with(fit_out, "-o", folder / ""), {folder / ""});
}

TEST_F(Errors, FilesThatAreNoIndexAreNamed) {
    write_file(index_file, "not an index\nof FAISS at all");
    expect_failure(index_out, {index_file, "FAISS refuses it"});
    write_file(index_file, "");
    expect_failure(index_out, {index_file});
    write_flat(gallery);
    const std::string whole = read_file(index_file);
    write_file(index_file, whole.substr(0, whole.size() - 1));
    expect_failure(index_out, {index_file, "FAISS refuses it"});
    write_flat(gallery);
    expect_failure(with(index_out, "--index-params", "speed=11"),
                   {index_file, "speed"});
    done(index_out);
}

TEST_F(Errors, IndexesWithLabelsOfTheirOwnAreNamed) {
    faiss::IndexFlatIP flat(24);
    faiss::IndexIDMap mapped(&flat);
    std::vector<idx_t> ids(gallery.rows);
    std::iota(ids.begin(), ids.end(), 7);
    mapped.add_with_ids(gallery.rows, gallery.data.data(), ids.data());
    faiss::write_index(&mapped, index_file.c_str());
    expect_failure(index_out, {index_file, "labels of its own"});
}

TEST_F(Errors, TheEnvironmentForcesTheEngine) {
    const Words nonsense{"QBNORM_ENGINE=nonsense"};
    for (const Words& command :
         {fit_out, merge_out, search_out, index_out, rerank_out, eval_out,
          Words{"inspect", table}}) {
        expect_failure(command, {"nonsense", "cpu"}, nonsense);
    }
    // --engine goes before it, and is the engine that runs.
    const std::string json = folder / "report.json";
    for (const Words& command :
         {fit_out, merge_out, search_out, index_out, rerank_out, eval_out}) {
        write_file(json, "{}");
        done(with(command, "--json", json) + Words{"--engine", "cpu"},
             nonsense);
        EXPECT_EQ(read_json(json)["engine"], "cpu") << joined(command);
    }
    done(fit_out, {"QBNORM_ENGINE=cpu"});
}

// ---- what stands stays ----

TEST_F(Errors, FailuresLeaveEarlierFilesAsTheyWere) {
    done(search_out);
    const std::string distances = read_file(out + ".distances.npy");
    const std::string labels = read_file(out + ".labels.npy");
    const std::string fitted = read_file(table);
    Matrix holed = gallery;
    holed.data[0] = NAN;
    write_npy(gallery_file, holed);
    expect_failure(search_out, {gallery_file, "row 0 "});
    expect_failure(fit("dis", "ip", table), {gallery_file, "row 0 "});
    EXPECT_EQ(read_file(out + ".distances.npy"), distances);
    EXPECT_EQ(read_file(out + ".labels.npy"), labels);
    EXPECT_EQ(read_file(table), fitted);
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
    const SmallDisk disk(2000);  // the distances are 60 x 10 x 4 bytes
    expect_failure(search_out, {out + ".distances.npy", "cannot write"});
    expect_failure(index_out, {out + ".distances.npy", "cannot write"});
    expect_failure(fit_out, {out, "cannot write"});
    expect_failure(merge_out, {out, "cannot write"});
    // The labels are twice as large as the distances.
    expect_failure(with(search_out, "-k", "7"),
                   {out + ".labels.npy", "cannot write"});
    done(with(search_out, "-k", "3"));
}

}  // namespace
