#include <cstdio>
#include <exception>
#include <new>

#include "faiss_qbnorm/cli/common.h"

namespace {

int fail_with(const char* message, int status) {
    std::fprintf(stderr, "qbnorm: %s\n", message);
    return status;
}

}  // namespace

int main(int argc, char** argv) {
    using namespace faiss_qbnorm::cli;
    constexpr int failed = 1;
    constexpr int wrong_usage = 2;
    catch_interrupts();
    try {
        CLI::App app("Querybank Normalisation for FAISS: fit, search, measure");
        app.require_subcommand(1);
        add_fit(app);
        add_merge(app);
        add_attach(app);
        add_search(app);
        add_rerank(app);
        add_fold(app);
        add_eval(app);
        add_tune(app);
        add_bank(app);
        add_inspect(app);
        try {
            app.parse(argc, argv);
        } catch (const CLI::Success& help) {
            return app.exit(help);
        } catch (const CLI::ParseError& problem) {
            return fail_with(
                (std::string(problem.what()) + "; see qbnorm --help").c_str(),
                wrong_usage);
        }
        if (std::fflush(stdout) != 0) {
            return fail_with("cannot write to standard output", failed);
        }
        return 0;
    } catch (const std::bad_alloc&) {
        return fail_with(
            "out of memory; give fewer rows, queries or answers "
            "at once",
            failed);
    } catch (const std::exception& problem) {
        return fail_with(problem.what(), failed);
    }
}
