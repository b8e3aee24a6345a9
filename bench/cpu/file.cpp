#include <spawn.h>
#include <sys/wait.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "bench/common/data.h"
#include "bench/cpu/benchmarks.h"
#include "bench/cpu/oracle.h"
#include "bench/cpu/rows.h"
#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/fit.h"
#include "faiss_qbnorm/io/table_file.h"
#include "faiss_qbnorm/make_engine.h"

extern char** environ;

namespace bench {

using namespace faiss_qbnorm;

namespace {

/// As big-ann-benchmarks' .fbin: rows and dimension, then the floats.
void write_fbin(const MatrixView& vectors, const std::string& path) {
    const std::uint32_t head[] = {static_cast<std::uint32_t>(vectors.rows),
                                  static_cast<std::uint32_t>(vectors.d)};
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(head), sizeof(head));
    file.write(
        reinterpret_cast<const char*>(vectors.data),
        static_cast<std::streamsize>(sizeof(float)) * vectors.rows * vectors.d);
    require(static_cast<bool>(file.flush()), "cannot write ", path);
}

/// Memory of a process that is no file's, in bytes.
double own_bytes(pid_t process) {
    std::ifstream status("/proc/" + std::to_string(process) + "/status");
    std::string line;
    while (std::getline(status, line)) {
        if (line.starts_with("RssAnon:"))
            return 1024 * std::stod(line.substr(8));
    }
    return 0;
}

/// Runs a program; returns the most memory of its own that it was seen with.
double run(std::vector<std::string> words) {
    std::vector<char*> arguments;
    arguments.reserve(words.size() + 1);
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", 1 /*O_WRONLY*/,
                                     0);
    pid_t process = 0;
    const int problem = posix_spawnp(&process, arguments[0], &actions, nullptr,
                                     arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    require(problem == 0, "cannot run ", words[0]);
    double most = 0;
    int status = 0;
    while (waitpid(process, &status, WNOHANG) == 0) {
        most = std::max(most, own_bytes(process));
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    require(status == 0, words[0], " failed");
    return most;
}

/// One gallery and bank, in memory and as files.
class FileFit {
  public:
    explicit FileFit(const Setup& setup)
        : setup_(setup),
          gallery_(setup.file_items, setup.file_d, 1),
          bank_(setup.file_bank, setup.file_d, 2) {
        write_fbin(gallery_.view(), path("gallery.fbin"));
        write_fbin(bank_.view(), path("bank.fbin"));
    }
    FileFit(const FileFit&) = delete;
    FileFit& operator=(const FileFit&) = delete;
    ~FileFit() {
        for (const char* name :
             {"gallery.fbin", "bank.fbin", "table.qbn", "fit.json"}) {
            std::error_code absent;
            std::filesystem::remove(path(name), absent);
        }
    }

    /// The seconds of the command's fit, without start and files of its own.
    double of_file() {
        own_bytes_ = run({setup_.qbnorm, "fit", "--engine", "cpu", "--gallery",
                          path("gallery.fbin"), "--querybank",
                          path("bank.fbin"), "--method", "dis", "-o",
                          path("table.qbn"), "--json", path("fit.json")});
        std::ifstream file(path("fit.json"));
        const Json report = Json::parse(file);
        peak_bytes_ = report.at("peak_bytes");
        return report.at("seconds").at("fit");
    }

    double of_memory() {
        return seconds_of([&] {
            fit(*engine_, MemoryGallery(gallery_.view()), bank_.view(), {});
        });
    }

    void verify() {
        of_file();
        verify_table(read_table(path("table.qbn")), gallery_.view(),
                     bank_.view());
    }

    void race() {
        const auto items = static_cast<double>(setup_.file_items);
        const auto measured = bench::race(
            {{"qbnorm fit of a file", items, [this] { return of_file(); }},
             {"fit in memory", items, [this] { return of_memory(); }}});
        print({"file",
               {{"d", setup_.file_d},
                {"items", setup_.file_items},
                {"bank", setup_.file_bank}},
               "items/s",
               measured[0],
               {measured[1]},
               {},
               {{"MB of its own at most", own_bytes_ / 1e6},
                {"MB at most with mapped pages of the file", peak_bytes_ / 1e6},
                {"MB of gallery block, bank and results", needed_bytes() / 1e6},
                {"MB of the gallery", bytes_of(gallery_.view().rows) / 1e6}}});
    }

  private:
    std::string path(const char* name) const {
        return std::filesystem::path(setup_.scratch) / name;
    }

    double bytes_of(idx_t rows) const {
        return 4.0 * static_cast<double>(rows) * setup_.file_d;
    }

    /// A block, the bank, and per item 4 bytes and a bit; the bank's lists
    /// while they are made (16 bytes an entry) and as the table has them (12).
    double needed_bytes() const {
        const auto block =
            std::min(default_block_rows(setup_.file_d), setup_.file_items);
        const auto entries =
            static_cast<double>(setup_.file_bank * default_list_length({}));
        return bytes_of(block) + bytes_of(setup_.file_bank) +
               (4 + 1.0 / 8) * static_cast<double>(setup_.file_items) +
               28 * entries;
    }

    const Setup& setup_;
    const Vectors gallery_;
    const Vectors bank_;
    const std::unique_ptr<Engine> engine_ = make_engine("cpu");
    double own_bytes_ = 0;
    double peak_bytes_ = 0;
};

}  // namespace

void bench_file(const Setup& setup) {
    if (setup.qbnorm.empty()) {
        print_missing("file", {{"d", setup.file_d}},
                      "the build has no command line; build its target qbnorm");
        return;
    }
    FileFit fit(setup);
    fit.verify();
    fit.race();
}

}  // namespace bench
