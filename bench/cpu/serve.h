#pragma once

#include <functional>
#include <map>
#include <string>

#include "bench/cpu/rows.h"

/// Being timed in turn with other processes (turns.py): requests are lines of
/// JSON on standard input, answers lines on standard output.
///
///     {"do": "prepare", ...}                 {"prepared": ...}
///     {"do": "time", "what": W, "calls": N}  {"seconds": of one call}
///     {"do": "peak"}                         {"bytes": of this process}

namespace bench {

struct Served {
    std::function<Json(const Json& request)> prepare;
    std::map<std::string, std::function<void()>> works;
};

/// Says that it is ready and serves until standard input ends.
void serve(const Served& served);

/// Exact DIS search of the index ("ours") and the bare base's ("debian").
/// Writes gallery.f32 and queries.f32 into the folder `scratch` first.
void serve_scan(const Json& parameters);

/// A fit and a search ("ours"), from vectors to answers. Writes gallery.f32,
/// bank.f32 and queries.f32 into the folder `scratch` first.
void serve_dis(const Json& parameters);

}  // namespace bench
