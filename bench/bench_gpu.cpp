// The CUDA engine against what its device can do (a cuBLAS product, a copy) and
// against itself. Each result is verified first, then timed in turn with its
// reference; figures are medians. See --help.

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "bench/gpu/benchmarks.h"
#include "faiss_qbnorm/core/error.h"

namespace {

using namespace bench;

constexpr char usage[] =
    "bench_gpu --out FILE.json [--only BENCHMARK] [--items N] [--small]\n"
    "          [--commit ID] [--command LINE]\n"
    "  --only     references, probe, scan, few, rerank, streamed or dis\n"
    "  --items    the gallery of dis; without it, what memory allows, up to\n"
    "             1e8\n"
    "  --small    everything tiny: shows that it runs, its times say nothing\n"
    "  --commit, --command   are written into the file\n"
    "Exits 0 where every result was right, 1 where one was not.\n";

struct Options {
    std::string out;
    std::string only;
    std::string commit;
    std::string command;
    idx_t items = 0;
    bool small = false;
};

Options read_options(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; i++) {
        const std::string name = argv[i];
        if (name == "--help") {
            std::fputs(usage, stdout);
            std::exit(0);
        }
        if (name == "--small") {
            options.small = true;
            continue;
        }
        const char* value = i + 1 < argc ? argv[++i] : nullptr;
        if (value && name == "--out") {
            options.out = value;
        } else if (value && name == "--only") {
            options.only = value;
        } else if (value && name == "--commit") {
            options.commit = value;
        } else if (value && name == "--command") {
            options.command = value;
        } else if (value && name == "--items" && std::atoll(value) > 0) {
            options.items = std::atoll(value);
        } else {
            std::fputs(usage, stderr);
            std::exit(2);
        }
    }
    if (options.out.empty()) {
        std::fputs(usage, stderr);
        std::exit(2);
    }
    return options;
}

void require_device(const Setup& setup) {
    try {
        setup.engine();
    } catch (const faiss_qbnorm::Error& problem) {
        faiss_qbnorm::fail("there is no device to measure: ", problem.what());
    }
}

void run(const Setup& setup, Results& results) {
    const auto engine = setup.engine();
    References references(setup);
    results.attempt("references",
                    [&] { bench_references(setup, references, results); });
    for (const int d : setup.dimensions) {
        results.attempt("probe", [&] {
            bench_probe(setup, *engine, d, references, results);
        });
        results.attempt("scan", [&] {
            bench_scan(setup, *engine, d, references, results);
        });
    }
    results.attempt("few",
                    [&] { bench_few(setup, *engine, references, results); });
    results.attempt("rerank",
                    [&] { bench_rerank(setup, *engine, references, results); });
    for (const int d : setup.streamed_dimensions) {
        results.attempt("streamed",
                        [&] { bench_streamed(setup, *engine, d, results); });
    }
    results.attempt("dis", [&] { bench_dis(setup, *engine, results); });
}

}  // namespace

int main(int argc, char** argv) {
    const Options options = read_options(argc, argv);
    try {
        Setup setup = options.small ? Setup::tiny() : Setup();
        if (options.items > 0) setup.dis_items = options.items;
        require_device(setup);
        Results results(options.out, options.only,
                        {{"machine", machine()},
                         {"commit", options.commit},
                         {"command", options.command},
                         {"small", setup.small}});
        run(setup, results);
        return results.all_well() ? 0 : 1;
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "bench_gpu: %s\n", problem.what());
        return 1;
    }
}
