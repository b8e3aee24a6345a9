#pragma once

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <string>

#include "faiss_qbnorm/core/normalization.h"

namespace faiss_qbnorm::cli {

/// Wrong values of these are wrong usage, found before any work.

inline const CLI::Validator beta_range(
    [](const std::string& text) -> std::string {
        char* end = nullptr;
        const double beta = std::strtod(text.c_str(), &end);
        const bool good = *end == '\0' && beta > 0 && beta <= max_beta;
        return good ? "" : "must be in (0, 10000]";
    },
    "in (0, 10000]");

inline const CLI::Validator is_row_range(
    [](const std::string& text) -> std::string {
        char* end = nullptr;
        const long long begin = std::strtoll(text.c_str(), &end, 10);
        if (end == text.c_str() || *end != ':') return "must be BEGIN:END";
        const char* second = end + 1;
        const long long last = std::strtoll(second, &end, 10);
        const bool good =
            end != second && *end == '\0' && begin >= 0 && begin < last;
        return good ? "" : "must be BEGIN:END with 0 <= BEGIN < END";
    },
    "BEGIN:END");

}  // namespace faiss_qbnorm::cli
