#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "tests/data.h"
#include "tests/oracle.h"
#include "tests/temporary_folder.h"

/// Runs the program as a user does. Oracle: the formats of .npy, .fvecs and
/// .fbin files as they are described, written and read here byte by byte, with
/// no code of faiss_qbnorm/io.

namespace cli {

using faiss_qbnorm::idx_t;
using faiss_qbnorm::Matrix;
using faiss_qbnorm::Method;
using faiss_qbnorm::Metric;

using Words = std::vector<std::string>;

// ---- the program ----

/// A command line without the program's name, split at its spaces.
class Command {
  public:
    Command(const char* line) : Command(std::string(line)) {}  // NOLINT
    Command(const std::string& line) {                         // NOLINT
        std::istringstream in(line);
        for (std::string word; in >> word;) words_.push_back(word);
    }

    const Words& words() const { return words_; }

    /// The same with more words.
    Command with(const Command& more) const {
        Command result = *this;
        result.words_.insert(result.words_.end(), more.words_.begin(),
                             more.words_.end());
        return result;
    }

    /// The same with this value of an option, in place of the one it had.
    Command with(const std::string& option, const std::string& value) const {
        Command result = without(option);
        result.words_.push_back(option);
        result.words_.push_back(value);
        return result;
    }

    Command without(const std::string& option) const {
        Command result = *this;
        Words& words = result.words_;
        const auto at = std::find(words.begin(), words.end(), option);
        if (at != words.end()) words.erase(at, at + 2);
        return result;
    }

    std::string line() const {
        std::string result = "qbnorm";
        for (const std::string& word : words_) result += " " + word;
        return result;
    }

  private:
    Words words_;
};

/// What a run left. A signal's number is a negative code.
struct Outcome {
    int code = -1;
    std::string out;
    std::string err;
};

inline std::vector<char*> pointers(Words& words) {
    std::vector<char*> result;
    for (std::string& word : words) result.push_back(word.data());
    result.push_back(nullptr);
    return result;
}

/// Runs qbnorm in `folder`; NAME=VALUE `settings` join the environment.
inline Outcome run(const TemporaryFolder& folder, const Command& command,
                   const Words& settings = {}) {
    Words words{QBNORM_PROGRAM};
    words.insert(words.end(), command.words().begin(), command.words().end());
    Words environment = settings;
    for (char** entry = environ; *entry; entry++) {
        const std::string setting = *entry;
        if (!setting.starts_with("QBNORM_")) environment.push_back(setting);
    }
    const TemporaryFolder streams;  // files, not pipes: no run can block
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, (folder / "").c_str());
    constexpr int flags = O_WRONLY | O_CREAT;
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO,
                                     (streams / "out").c_str(), flags, 0600);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO,
                                     (streams / "err").c_str(), flags, 0600);
    pid_t process = 0;
    const int problem =
        posix_spawn(&process, QBNORM_PROGRAM, &actions, nullptr,
                    pointers(words).data(), pointers(environment).data());
    posix_spawn_file_actions_destroy(&actions);
    EXPECT_EQ(problem, 0) << "cannot run " << QBNORM_PROGRAM;
    if (problem != 0) return {};
    int status = 0;
    waitpid(process, &status, 0);
    const int code =
        WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    return {code, read_file(streams / "out"), read_file(streams / "err")};
}

/// Runs a command that must succeed without a complaint; its standard output.
inline std::string done(const TemporaryFolder& folder, const Command& command,
                        const Words& settings = {}) {
    const Outcome outcome = run(folder, command, settings);
    EXPECT_EQ(outcome.code, 0) << command.line() << "\n" << outcome.err;
    EXPECT_EQ(outcome.err, "") << command.line();
    return outcome.out;
}

/// Expects this exit code, nothing on standard output, and on standard error
/// one line that contains each of `texts`.
inline void expect_refusal(const Outcome& outcome, int code,
                           const Words& texts) {
    SCOPED_TRACE(outcome.err);
    EXPECT_EQ(outcome.code, code);
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(outcome.err.starts_with("qbnorm: "));
    EXPECT_EQ(outcome.err.find('\n') + 1, outcome.err.size()) << "one line";
    for (const std::string& text : texts) {
        EXPECT_NE(outcome.err.find(text), std::string::npos)
            << "does not say: " << text;
    }
}

inline nlohmann::json read_json(const std::string& path) {
    return nlohmann::json::parse(read_file(path));
}

// ---- files, byte by byte ----

template <class T>
std::string bytes_of(const T* values, size_t count) {
    return {reinterpret_cast<const char*>(values), count * sizeof(T)};
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
    return bytes_of(values.data(), values.size());
}

template <class T>
std::vector<T> values_of(const std::string& bytes) {
    std::vector<T> values(bytes.size() / sizeof(T));
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
    return values;
}

/// `shape` as Python writes it: "(3, 4)", "(3,)".
inline void write_npy(const std::string& path, const std::string& descr,
                      const std::string& shape, const std::string& elements) {
    std::string header = "{'descr': '" + descr +
                         "', 'fortran_order': False, 'shape': " + shape + ", }";
    header.resize(117, ' ');  // magic, version, length, header: 128 bytes
    const std::string start{"\x93NUMPY\x01\x00\x76\x00", 10};
    write_file(path, start + header + "\n" + elements);
}

inline std::string shape(idx_t rows, idx_t d) {
    std::ostringstream text;
    text << "(" << rows << ", " << d << ")";
    return text.str();
}

inline void write_npy(const std::string& path, const Matrix& m) {
    write_npy(path, "<f4", shape(m.rows, m.d), bytes_of(m.data));
}

inline void write_labels(const std::string& path, idx_t d,
                         const std::vector<idx_t>& labels) {
    const auto rows = static_cast<idx_t>(labels.size()) / d;
    write_npy(path, "<i8", shape(rows, d), bytes_of(labels));
}

inline void write_fvecs(const std::string& path, const Matrix& m) {
    std::string content;
    for (idx_t i = 0; i < m.rows; i++) {
        content += bytes_of(&m.d, 1) + bytes_of(m.view().row(i), m.d);
    }
    write_file(path, content);
}

inline void write_fbin(const std::string& path, const Matrix& m) {
    const std::uint32_t header[] = {static_cast<std::uint32_t>(m.rows),
                                    static_cast<std::uint32_t>(m.d)};
    write_file(path, bytes_of(header, 2) + bytes_of(m.data));
}

/// Every element cut to a float16, so that write_half loses nothing.
inline Matrix cut_to_half(Matrix m) {
    for (float& x : m.data) {
        const auto bits = std::bit_cast<std::uint32_t>(x) & 0xffffe000U;
        x = std::fabs(x) < 0x1p-14F ? 0 : std::bit_cast<float>(bits);
    }
    return m;
}

inline void write_half(const std::string& path, const Matrix& m) {
    std::vector<std::uint16_t> halves;
    for (const float x : m.data) {
        const auto bits = std::bit_cast<std::uint32_t>(x);
        const std::uint32_t sign = bits >> 16 & 0x8000U;
        const std::uint32_t rest = bits & 0x7fffffffU;
        const std::uint32_t half = rest ? (rest >> 13) - (112U << 10) : 0;
        halves.push_back(static_cast<std::uint16_t>(sign | half));
    }
    write_npy(path, "<f2", shape(m.rows, m.d), bytes_of(halves));
}

/// An .npy file of two dimensions.
struct Npy {
    std::string descr;
    idx_t rows = -1;
    idx_t d = -1;
    std::string elements;
};

inline Npy read_npy(const std::string& path) {
    const std::string file = read_file(path);
    if (!file.starts_with(std::string("\x93NUMPY\x01\x00", 8))) {
        ADD_FAILURE() << path << " is no .npy file";
        return {};
    }
    const auto length = values_of<std::uint16_t>(file.substr(8, 2))[0];
    const std::string header = file.substr(10, length);
    EXPECT_EQ((10 + header.size()) % 64, 0U);
    EXPECT_EQ(header.back(), '\n');
    char descr[8] = {};
    long rows = -1;
    long d = -1;
    const int fields = std::sscanf(header.c_str(),
                                   "{'descr': '%7[^']', 'fortran_order': "
                                   "False, 'shape': (%ld, %ld), }",
                                   descr, &rows, &d);
    EXPECT_EQ(fields, 3) << header;
    return {descr, rows, d, file.substr(10 + header.size())};
}

/// What search and rerank write.
struct Answer {
    idx_t nq = -1;
    idx_t k = -1;
    std::vector<float> distances;
    std::vector<idx_t> labels;
};

inline Answer read_answer(const std::string& prefix) {
    const Npy distances = read_npy(prefix + ".distances.npy");
    const Npy labels = read_npy(prefix + ".labels.npy");
    EXPECT_EQ(distances.descr, "<f4");
    EXPECT_EQ(labels.descr, "<i8");
    EXPECT_EQ(distances.rows, labels.rows);
    EXPECT_EQ(distances.d, labels.d);
    const auto slots = static_cast<size_t>(labels.rows * labels.d);
    EXPECT_EQ(distances.elements.size(), slots * sizeof(float));
    EXPECT_EQ(labels.elements.size(), slots * sizeof(idx_t));
    return {labels.rows, labels.d, values_of<float>(distances.elements),
            values_of<idx_t>(labels.elements)};
}

inline constexpr double tolerance = 1e-5;

/// Expects every row to be the oracle's.
inline void expect_answer(const Answer& answer,
                          const oracle::Reference& reference, Metric metric,
                          Method method) {
    ASSERT_EQ(answer.nq, static_cast<idx_t>(reference.raw.size()));
    std::vector<float> scores = answer.distances;
    if (metric == Metric::l2) {
        for (float& score : scores) score = -score;
    }
    for (idx_t i = 0; i < answer.nq; i++) {
        SCOPED_TRACE("query " + std::to_string(i));
        oracle::expect_ranking(reference.scores(method, i), answer.k,
                               scores.data() + i * answer.k,
                               answer.labels.data() + i * answer.k, tolerance);
    }
}

// ---- a scene ----

/// A gallery, past and new queries in a folder, where the commands run:
/// gallery.npy, bank.npy and queries.npy.
class Scene : public testing::Test {
  protected:
    Scene() {
        write_npy(folder / "gallery.npy", gallery);
        write_npy(folder / "bank.npy", bank);
        write_npy(folder / "queries.npy", queries);
    }

    Outcome run(const Command& command, const Words& settings = {}) const {
        return cli::run(folder, command, settings);
    }

    std::string done(const Command& command, const Words& settings = {}) const {
        return cli::done(folder, command, settings);
    }

    std::string content(const std::string& name) const {
        return read_file(folder / name);
    }

    oracle::Reference reference(Metric metric, double beta = 20,
                                idx_t activation_k = 1) const {
        return {metric,      gallery.view(), queries.view(),
                bank.view(), beta,           activation_k};
    }

    const Command fit =
        "fit --gallery gallery.npy --querybank bank.npy --method dis "
        "-o table.qbn";
    const TemporaryFolder folder;
    const Matrix gallery = testdata::unit(1000, 24, 1);
    const Matrix bank = testdata::unit(90, 24, 2);
    const Matrix queries = testdata::unit(60, 24, 3);
};

}  // namespace cli
