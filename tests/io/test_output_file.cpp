// Oracle: what the folder holds, seen through the standard library, before
// and after each step.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <memory>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/io/output_file.h"
#include "tests/full_disk.h"
#include "tests/temporary_folder.h"

namespace faiss_qbnorm {
namespace {

void write(OutputFile& out, const std::string& text) {
    out.write(text.data(), text.size());
}

TEST(OutputFile, AppearsAtCommit) {
    const TemporaryFolder folder;
    const std::string path = folder / "a";
    {
        OutputFile out(path);
        write(out, "one ");
        out.sync();
        EXPECT_FALSE(std::filesystem::exists(path));
        const std::vector<char> two{'t', 'w', 'o'};
        out.write(std::span(two));
        write(out, "");
        EXPECT_FALSE(std::filesystem::exists(path));
        out.commit();
        EXPECT_EQ(read_file(path), "one two");
        EXPECT_EQ(folder.count(), 1);
    }
    EXPECT_EQ(read_file(path), "one two");
    EXPECT_EQ(folder.count(), 1);
}

TEST(OutputFile, LetsGoOfItsFileAtCommit) {
    const TemporaryFolder folder;
    auto first = std::make_unique<OutputFile>(folder / "a");
    first->commit();
    OutputFile second(folder / "b");  // has the descriptor that first had
    first.reset();
    write(second, "two");
    second.commit();
    EXPECT_EQ(read_file(folder / "b"), "two");
    EXPECT_TRUE(std::filesystem::exists(folder / "a"));
}

TEST(OutputFile, MayBeEmpty) {
    const TemporaryFolder folder;
    OutputFile(folder / "a").commit();
    EXPECT_TRUE(std::filesystem::exists(folder / "a"));
    EXPECT_EQ(read_file(folder / "a"), "");
}

TEST(OutputFile, RewritesWhatWasWritten) {
    const TemporaryFolder folder;
    OutputFile out(folder / "a");
    write(out, "to be filled in: ...");
    out.rewrite(17, std::as_bytes(std::span("new", 3)));
    write(out, " the end");
    out.rewrite(0, {});
    out.commit();
    EXPECT_EQ(read_file(folder / "a"), "to be filled in: new the end");
}

TEST(OutputFile, LeavesNothingWithoutCommit) {
    const TemporaryFolder folder;
    {
        OutputFile out(folder / "a");
        write(out, "lost");
        EXPECT_EQ(folder.count(), 1);  // the temporary file
    }
    EXPECT_EQ(folder.count(), 0);
}

TEST(OutputFile, ReplacesAFileWhole) {
    const TemporaryFolder folder;
    const std::string path = folder / "a";
    write_file(path, "the old content, which is longer");
    {
        OutputFile out(path);
        write(out, "lost");
    }
    EXPECT_EQ(read_file(path), "the old content, which is longer");
    OutputFile out(path);
    write(out, "new");
    EXPECT_EQ(read_file(path), "the old content, which is longer");
    out.commit();
    EXPECT_EQ(read_file(path), "new");
    EXPECT_EQ(folder.count(), 1);
}

TEST(OutputFile, TwoOfOneNameDoNotMix) {
    const TemporaryFolder folder;
    const std::string path = folder / "a";
    OutputFile first(path);
    OutputFile second(path);
    write(first, "first");
    write(second, "2nd");
    first.commit();
    EXPECT_EQ(read_file(path), "first");
    second.commit();
    EXPECT_EQ(read_file(path), "2nd");
    EXPECT_EQ(folder.count(), 1);
}

TEST(OutputFile, LeavesAStrangersTemporaryFile) {
    const TemporaryFolder folder;
    const std::string path = folder / "a";
    const std::string left = path + ".tmp-" + std::to_string(getpid()) + "-0";
    write_file(left, "of a killed process of this number");
    OutputFile out(path);
    write(out, "new");
    out.commit();
    EXPECT_EQ(read_file(path), "new");
    EXPECT_EQ(read_file(left), "of a killed process of this number");
}

TEST(OutputFile, NamesWhatItCannotCreate) {
    const TemporaryFolder folder;
    const std::string nowhere = folder / "none/a";
    EXPECT_THROW_SAYING(OutputFile{nowhere}, Error,
                        nowhere + ": cannot create: No such file");
    write_file(folder / "file", "");
    EXPECT_THROW_SAYING(OutputFile{folder / "file/a"}, Error,
                        "file/a: cannot create: Not a directory");
    EXPECT_THROW_SAYING(OutputFile{folder / std::string(300, 'x')}, Error,
                        "xxx: cannot create: File name too long");
    EXPECT_EQ(folder.count(), 1);
}

TEST(OutputFile, ReplacesNeitherFoldersNorDevices) {
    const TemporaryFolder folder;
    const std::string path = folder / "folder";
    std::filesystem::create_directory(path);
    EXPECT_THROW_SAYING(OutputFile{path}, Error,
                        path + ": cannot write: it is a folder");
    const std::string pipe = folder / "pipe";
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    EXPECT_THROW_SAYING(OutputFile{pipe}, Error, pipe + ": cannot write");
    EXPECT_TRUE(std::filesystem::is_fifo(pipe));
    EXPECT_EQ(folder.count(), 2);
}

TEST(OutputFile, ThrowsWhereTheNameBecomesAFolder) {
    const TemporaryFolder folder;
    const std::string path = folder / "a";
    {
        OutputFile out(path);
        write(out, "lost");
        std::filesystem::create_directory(path);
        EXPECT_THROW_SAYING(out.commit(), Error, path + ": cannot rename");
    }
    EXPECT_TRUE(std::filesystem::is_directory(path));
    EXPECT_EQ(folder.count(), 1);
}

TEST(OutputFile, KeepsTheOldFileWhereTheDiskIsFull) {
    const TemporaryFolder folder;
    const std::string path = folder / "a";
    write_file(path, "old");
    std::string message = "nothing was thrown";
    {
        const FullDisk disk(1000);
        try {
            OutputFile out(path);
            write(out, std::string(900, 'x'));
            write(out, std::string(200, 'x'));  // half of it fits
            out.commit();
        } catch (const Error& problem) {
            message = problem.what();
        }
    }
    EXPECT_EQ(message, path + ": cannot write: File too large");
    EXPECT_EQ(read_file(path), "old");
    EXPECT_EQ(folder.count(), 1);
}

}  // namespace
}  // namespace faiss_qbnorm
