// The CPU engine and the FAISS face against what they are measured by. Each
// result is verified first, then timed in turn with its references; a line of
// JSON a row. bench/run runs this and makes a report of it.

#include <faiss/Index.h>
#include <omp.h>

#include <cstdio>
#include <exception>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "bench/cpu/benchmarks.h"
#include "bench/cpu/gemm.h"
#include "bench/cpu/serve.h"
#include "faiss_qbnorm/core/error.h"

namespace {

using namespace bench;

constexpr char usage[] =
    "bench_cpu run [--quick] [--scratch FOLDER] [--qbnorm PROGRAM] "
    "BENCHMARK...\n"
    "          probe, ivf, hnsw, curve, threads, rerank, add or file\n"
    "bench_cpu serve scan|dis JSON\n"
    "          timed in turn with other processes (bench/cpu/serve.h)\n"
    "bench_cpu facts\n"
    "          versions of what it was built with\n"
    "Exits 0 where every result was right, 1 where one was not.\n";

int wrong_usage() {
    std::fputs(usage, stderr);
    return 2;
}

int print_facts() {
    Json facts = gemm_facts();
    facts["FAISS"] = std::to_string(FAISS_VERSION_MAJOR) + "." +
                     std::to_string(FAISS_VERSION_MINOR) + "." +
                     std::to_string(FAISS_VERSION_PATCH);
    facts["compiler"] = __VERSION__;
    facts["OpenMP threads"] = omp_get_max_threads();
    std::printf("%s\n", facts.dump().c_str());
    return 0;
}

int serve_one(const std::vector<std::string>& words) {
    if (words.size() != 2) return wrong_usage();
    const Json parameters = Json::parse(words[1]);
    if (words[0] == "scan") {
        serve_scan(parameters);
    } else if (words[0] == "dis") {
        serve_dis(parameters);
    } else {
        return wrong_usage();
    }
    return 0;
}

int run(const std::vector<std::string>& words) {
    const std::map<std::string, std::function<void(const Setup&)>> all{
        {"probe", bench_probe},     {"ivf", bench_ivf},
        {"hnsw", bench_hnsw},       {"curve", bench_curve},
        {"threads", bench_threads}, {"rerank", bench_rerank},
        {"add", bench_add},         {"file", bench_file}};
    bool quick = false;
    std::string scratch = ".";
    std::string qbnorm;
    std::vector<std::string> wanted;
    for (size_t i = 0; i < words.size(); i++) {
        const bool has_value = i + 1 < words.size();
        if (words[i] == "--quick") {
            quick = true;
        } else if (words[i] == "--scratch" && has_value) {
            scratch = words[++i];
        } else if (words[i] == "--qbnorm" && has_value) {
            qbnorm = words[++i];
        } else if (all.contains(words[i])) {
            wanted.push_back(words[i]);
        } else {
            return wrong_usage();
        }
    }
    Setup setup = quick ? Setup::quick() : Setup();
    setup.scratch = scratch;
    setup.qbnorm = qbnorm;
    for (const std::string& name : wanted) {
        try {
            all.at(name)(setup);
        } catch (const std::exception& problem) {
            faiss_qbnorm::fail(name, ": ", problem.what());
        }
    }
    return wanted.empty() ? wrong_usage() : 0;
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<std::string> words(argv + 1, argv + argc);
    if (words.empty()) return wrong_usage();
    const std::string command = words.front();
    words.erase(words.begin());
    try {
        if (command == "run") return run(words);
        if (command == "serve") return serve_one(words);
        if (command == "facts") return print_facts();
        return wrong_usage();
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "bench_cpu: %s\n", problem.what());
        return 1;
    }
}
