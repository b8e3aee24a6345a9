#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/common/timing.h"

/// What is measured, and how it is written.

namespace bench {

using Json = nlohmann::json;

/// What a ratio should be. Ratios of rates are ours over the reference's;
/// ratios of seconds likewise, so that there less is better.
struct Goal {
    enum class Kind { none, rate_at_least, time_at_most };
    Kind kind = Kind::none;
    double ratio = 0;
};

struct Reference {
    std::string name;
    double work = 0;  ///< of one call, in the result's unit
};

struct Result {
    std::string benchmark;
    Json parameters;
    double work = 0;   ///< of one call, in `unit` times seconds
    std::string unit;  ///< of a rate
    Reference reference;
    Goal goal;
};

/// Collects results and rewrites the file with each, so that what was measured
/// stays where a later benchmark ends the program.
class Results {
  public:
    Results(std::string path, std::string only, Json head);

    /// A verified result; `more` adds fields.
    void add(const Result& result, const Pair& times, const Json& more = {});
    void add(const Result& result, const Times& times, const Json& more = {});

    /// Runs a group of benchmarks, unless another one was asked for; what it
    /// throws becomes a failed result.
    void attempt(const std::string& group, const std::function<void()>& run);

    bool all_well() const { return failures_ == 0; }

  private:
    void write(Json entry);

    std::string path_;
    std::string only_;
    Json all_;
    int failures_ = 0;
};

}  // namespace bench
