#include "bench/gpu/results.h"

#include <cstdio>
#include <exception>
#include <fstream>

#include "faiss_qbnorm/core/error.h"

namespace bench {

namespace {

Json entry_of(const Result& result, const Times& times) {
    return {{"benchmark", result.benchmark},
            {"parameters", result.parameters},
            {"seconds", times.median},
            {"spread", {times.least, times.most}},
            {"rate", result.work / times.median},
            {"unit", result.unit},
            {"verified", true}};
}

std::string written(const char* sign, double ratio) {
    char text[32];
    std::snprintf(text, sizeof(text), "%s %.2f", sign, ratio);
    return text;
}

}  // namespace

Results::Results(std::string path, std::string only, Json head)
    : path_(std::move(path)), only_(std::move(only)), all_(std::move(head)) {
    all_["results"] = Json::array();
}

void Results::add(const Result& result, const Pair& times, const Json& more) {
    Json entry = entry_of(result, times.ours);
    const double rate = entry["rate"];
    const double reference = result.reference.work / times.reference.median;
    entry["reference"] = {
        {"name", result.reference.name},
        {"seconds", times.reference.median},
        {"spread", {times.reference.least, times.reference.most}},
        {"rate", reference}};
    const bool by_time = result.goal.kind == Goal::Kind::time_at_most;
    const double ratio =
        by_time ? times.ours.median / times.reference.median : rate / reference;
    entry["ratio"] = ratio;
    entry["ratio_of"] = by_time ? "seconds" : "rates";
    if (result.goal.kind != Goal::Kind::none) {
        entry["goal"] = written(by_time ? "<=" : ">=", result.goal.ratio);
        entry["met"] =
            by_time ? ratio <= result.goal.ratio : ratio >= result.goal.ratio;
    }
    if (!more.is_null()) entry.update(more);
    write(std::move(entry));
}

void Results::add(const Result& result, const Times& times, const Json& more) {
    Json entry = entry_of(result, times);
    if (!more.is_null()) entry.update(more);
    write(std::move(entry));
}

void Results::attempt(const std::string& group,
                      const std::function<void()>& run) {
    if (!only_.empty() && only_ != group) return;
    try {
        run();
    } catch (const std::exception& problem) {
        failures_++;
        std::fprintf(stderr, "bench_gpu: %s: %s\n", group.c_str(),
                     problem.what());
        write({{"benchmark", group},
               {"verified", false},
               {"problem", problem.what()}});
    }
}

void Results::write(Json entry) {
    std::printf("%s\n", entry.dump().c_str());
    std::fflush(stdout);
    all_["results"].push_back(std::move(entry));
    std::ofstream file(path_);
    file << all_.dump(1) << "\n";
    faiss_qbnorm::require(static_cast<bool>(file.flush()), "cannot write ",
                          path_);
}

}  // namespace bench
