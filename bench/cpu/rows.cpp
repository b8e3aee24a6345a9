#include "bench/cpu/rows.h"

#include <sys/resource.h>

#include <cstdio>

namespace bench {

namespace {

Json json_of(const Measured& measured) {
    return {{"name", measured.name},
            {"work", measured.work},
            {"seconds", measured.times.median},
            {"spread", {measured.times.least, measured.times.most}}};
}

void print_line(const Json& line) {
    std::printf("%s\n", line.dump().c_str());
    std::fflush(stdout);
}

}  // namespace

std::vector<Measured> race(const std::vector<Contender>& contenders) {
    std::vector<Timed> timed;
    timed.reserve(contenders.size());
    for (const Contender& contender : contenders) {
        timed.push_back(contender.run);
    }
    const std::vector<Times> times = in_turn(timed);
    std::vector<Measured> result;
    for (size_t i = 0; i < times.size(); i++) {
        result.push_back({contenders[i].name, contenders[i].work, times[i]});
    }
    return result;
}

void print(const Row& row) {
    Json references = Json::array();
    for (const Measured& reference : row.references) {
        references.push_back(json_of(reference));
    }
    print_line({{"benchmark", row.benchmark},
                {"parameters", row.parameters},
                {"unit", row.unit},
                {"ours", json_of(row.ours)},
                {"references", references},
                {"missing", row.missing},
                {"notes", row.notes}});
}

void print_missing(const std::string& benchmark, const Json& parameters,
                   const std::string& why) {
    print_line({{"benchmark", benchmark},
                {"parameters", parameters},
                {"not_measured", why}});
}

double peak_bytes() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return 1024.0 * static_cast<double>(usage.ru_maxrss);
}

}  // namespace bench
