#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

/// A folder that lives as long as the object.
class TemporaryFolder {
  public:
    TemporaryFolder() {
        std::string name =
            (std::filesystem::temp_directory_path() / "qbnorm-XXXXXX").string();
        EXPECT_NE(mkdtemp(name.data()), nullptr);
        path_ = name;
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    ~TemporaryFolder() { std::filesystem::remove_all(path_); }

    std::string operator/(const std::string& name) const {
        return (path_ / name).string();
    }

    /// How many files it holds.
    long count() const {
        return std::distance(std::filesystem::directory_iterator(path_), {});
    }

  private:
    std::filesystem::path path_;
};

inline std::string read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_file(const std::string& path, const std::string& content) {
    std::ofstream(path, std::ios::binary) << content;
}

/// Expects `statement` to throw `Type` with a message that contains `text`.
#define EXPECT_THROW_SAYING(statement, Type, text)                           \
    try {                                                                    \
        statement;                                                           \
        ADD_FAILURE() << "nothing was thrown";                               \
    } catch (const Type& problem) {                                          \
        EXPECT_NE(std::string(problem.what()).find(text), std::string::npos) \
            << problem.what();                                               \
    }
