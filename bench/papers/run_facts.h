#pragma once

#include <string>

namespace papers {

/// "AMD EPYC ..., 2 threads"
std::string machine();

/// What git calls the sources, with "-dirty" where they differ; "unknown"
/// without git.
std::string commit();

/// "2026-11-21 20:15 UTC"
std::string date();

}  // namespace papers
