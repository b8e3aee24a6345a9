#include "faiss_qbnorm/cli/common.h"

#include <omp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>

#include "faiss_qbnorm/cli/validators.h"
#include "faiss_qbnorm/io/output_file.h"
#include "faiss_qbnorm/make_engine.h"

namespace faiss_qbnorm::cli {

namespace {

volatile std::sig_atomic_t interrupted = 0;

void note_interrupt(int) {
    interrupted = 1;
}

std::string list(const std::vector<std::string>& names) {
    std::string result;
    for (const std::string& name : names) {
        result += (result.empty() ? "" : ", ") + name;
    }
    return result;
}

std::uint64_t peak_bytes() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace

Common::Common(CLI::App& command) {
    command.add_option("--json", json_path_, "Write a report to this file");
    command.add_option("--threads", threads_, "Threads (default: all cores)")
        ->check(CLI::Range(1, 1024));
    command
        .add_option("--engine", engine_name_,
                    list(engine_names()) +
                        " (default: QBNORM_ENGINE, or the first); a second "
                        "device is cuda:1")
        ->check([](const std::string& name) -> std::string {
            if (is_engine_name(name)) return "";
            return "'" + name + "' is none of: " + list(engine_names());
        });
    command
        .add_option("--precision", precision_,
                    "What is multiplied in: fp32, bf16 (cpu), fp16 (cuda); "
                    "auto is fp32 on cpu, and fp16 for unit vectors on cuda. "
                    "It shows in offsets only")
        ->check(CLI::IsMember({"auto", "fp32", "fp16", "bf16"}))
        ->capture_default_str();
}

namespace {

Precision precision_named(const std::string& name) {
    if (name == "fp32") return Precision::fp32;
    if (name == "fp16") return Precision::fp16;
    if (name == "bf16") return Precision::bf16;
    return Precision::automatic;
}

}  // namespace

std::unique_ptr<Engine> Common::start(const std::vector<std::string>& files) {
    if (!json_path_.empty()) {
        for (const std::string& file : files) {
            require(json_path_ != file, json_path_,
                    ": is another file of this command, too; write the report "
                    "to a file of its own");
        }
        require_writable(json_path_, files);
    }
    if (threads_ > 0) omp_set_num_threads(threads_);
    auto engine = make_engine(engine_name_, precision_named(precision_));
    report["engine"] = engine->name();
    return engine;
}

void Common::finish() {
    if (json_path_.empty()) return;
    report["peak_bytes"] = peak_bytes();
    const std::string text = report.dump(2) + "\n";
    OutputFile out(json_path_);
    out.write(text.data(), text.size());
    out.commit();
}

void VectorOptions::add_to(CLI::App& command) {
    command.add_option("--metric", metric, "ip or l2")
        ->check(CLI::IsMember({"ip", "l2"}))
        ->capture_default_str();
    command.add_flag("--normalize", normalize,
                     "Divide each vector by its norm on reading");
}

void AnswerOptions::add_to(CLI::App& command) {
    command.add_option("-k", k, "Answers per query")
        ->check(k_range)
        ->capture_default_str();
    command
        .add_option("-o,--output", prefix,
                    "Writes PREFIX.distances.npy and PREFIX.labels.npy")
        ->required();
}

std::function<void(idx_t)> progress_bar(const std::string& what, idx_t total) {
    const bool visible = isatty(STDERR_FILENO) != 0;
    return [=, shown = -1](idx_t done) mutable {
        require(!interrupted, "interrupted");
        if (!visible || total <= 0) return;
        const int percent = static_cast<int>(100 * done / total);
        if (percent == shown) return;
        shown = percent;
        const std::string bar(percent / 4, '#');
        std::fprintf(stderr, "\r%-10s [%-25s] %3d %%", what.c_str(),
                     bar.c_str(), percent);
        if (done >= total) std::fprintf(stderr, "\r%60s\r", "");
    };
}

void catch_interrupts() {
    struct sigaction action {};
    action.sa_handler = note_interrupt;
    action.sa_flags = static_cast<int>(SA_RESETHAND);  // the second one kills
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
}

void require_same_d(const std::string& a, int d_a, const std::string& b,
                    int d_b) {
    require(d_a == d_b, a, ": has dimension ", d_a, " but ", b, " has ", d_b,
            "; give vectors of one embedding");
}

void require_writable(const std::string& path,
                      const std::vector<std::string>& inputs) {
    for (const std::string& input : inputs) {
        std::error_code absent;  // then they are not the same
        require(!std::filesystem::equivalent(path, input, absent), path,
                ": is an input too; write the output to another file");
    }
    const OutputFile probe(path);
}

}  // namespace faiss_qbnorm::cli
