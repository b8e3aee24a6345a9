#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>
#include <string>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/engine.h"

namespace faiss_qbnorm::cli {

/// The options that every command has, and what comes of them.
class Common {
  public:
    explicit Common(CLI::App& command);

    /// Applies --threads and makes the engine that --engine names. `files` are
    /// the command's others, which the report may not replace.
    std::unique_ptr<Engine> start(const std::vector<std::string>& files);

    /// Counts the seconds of `work` under `name` in the report.
    template <class Work>
    auto timed(const char* name, Work work) {
        const Clock clock(report["seconds"][name]);
        return work();
    }

    /// Writes the report to --json, if given, with the peak memory.
    void finish();

    nlohmann::ordered_json report;

  private:
    class Clock {
      public:
        explicit Clock(nlohmann::ordered_json& seconds) : seconds_(seconds) {}
        Clock(const Clock&) = delete;
        Clock& operator=(const Clock&) = delete;
        ~Clock() {
            const std::chrono::duration<double> passed =
                std::chrono::steady_clock::now() - begin_;
            seconds_ = passed.count();
        }

      private:
        nlohmann::ordered_json& seconds_;
        std::chrono::steady_clock::time_point begin_ =
            std::chrono::steady_clock::now();
    };

    std::string json_path_;
    std::string engine_name_;
    std::string precision_ = "auto";
    int threads_ = 0;
};

/// --metric and --normalize, where vectors come in.
struct VectorOptions {
    std::string metric = "ip";
    bool normalize = false;

    void add_to(CLI::App& command);
};

/// -k and --output, where answers are written (AnswerFiles).
struct AnswerOptions {
    idx_t k = 10;
    std::string prefix;

    void add_to(CLI::App& command);
};

/// A progress bar on a terminal, nothing elsewhere. Its calls also turn an
/// interrupt (Ctrl-C, SIGTERM) into an Error, so that nothing half-written
/// stays behind.
std::function<void(idx_t)> progress_bar(const std::string& what, idx_t total);

/// Makes interrupts reach progress_bar.
void catch_interrupts();

/// Runs `work`, whose errors then begin with the names of its `files`.
template <class Work>
auto naming(const std::string& files, Work work) {
    try {
        return work();
    } catch (const std::bad_alloc&) {
        throw;
    } catch (const std::exception& problem) {
        fail(files, ": ", problem.what());
    }
}

/// Throws unless two vector files have one dimension.
void require_same_d(const std::string& a, int d_a, const std::string& b,
                    int d_b);

/// Throws where `path` cannot be written, or is one of the `inputs`, which
/// nothing may replace: before the work, not after it.
void require_writable(const std::string& path,
                      const std::vector<std::string>& inputs = {});

/// Adds a command, which Command's constructor gives its options and whose
/// run() does its work.
template <class Command>
void add_command(CLI::App& app, const char* name, const char* what) {
    CLI::App* parsed = app.add_subcommand(name, what);
    const auto command = std::make_shared<Command>(*parsed);
    parsed->callback([command] { command->run(); });
}

// One file a command.
void add_fit(CLI::App& app);
void add_attach(CLI::App& app);
void add_merge(CLI::App& app);
void add_search(CLI::App& app);
void add_rerank(CLI::App& app);
void add_fold(CLI::App& app);
void add_eval(CLI::App& app);
void add_tune(CLI::App& app);
void add_bank(CLI::App& app);
void add_inspect(CLI::App& app);

}  // namespace faiss_qbnorm::cli
