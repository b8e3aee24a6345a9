#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/common/timing.h"

/// What is measured, and how it is printed: a line of JSON a row. Ratios and
/// goals are report.py's.

namespace bench {

using Json = nlohmann::ordered_json;

/// Something to be timed; `work` is of one call, in the row's unit times
/// seconds.
struct Contender {
    std::string name;
    double work = 0;
    Timed run;
};

struct Measured {
    std::string name;
    double work = 0;
    Times times;
};

/// Times all in turn.
std::vector<Measured> race(const std::vector<Contender>& contenders);

/// One benchmark's result, which was verified.
struct Row {
    std::string benchmark;
    Json parameters;
    std::string unit;  ///< of a rate
    Measured ours;
    std::vector<Measured> references;
    std::map<std::string, std::string> missing;  ///< references, and why
    Json notes = Json::object();
};

void print(const Row& row);

/// A row that could not be measured, and why.
void print_missing(const std::string& benchmark, const Json& parameters,
                   const std::string& why);

/// The most memory that this process ever had, as the kernel counts it.
double peak_bytes();

}  // namespace bench
