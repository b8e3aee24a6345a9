#pragma once

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <limits>
#include <string>

#include "faiss_qbnorm/core/normalization.h"
#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm::cli {

/// Wrong values of these are wrong usage, found before any work.

/// A k; a product of two stays below 2^63.
inline const CLI::Validator k_range = CLI::Range(idx_t{1}, idx_t{1} << 30);

inline const CLI::Validator beta_range(
    [](const std::string& text) -> std::string {
        char* end = nullptr;
        const float beta = std::strtof(text.c_str(), &end);
        const bool good = *end == '\0' && beta > 0 && beta <= max_beta;
        return good ? "" : "must be in (0, 10000]";
    },
    "in (0, 10000]");

inline const CLI::Validator beta_or_auto(
    [](const std::string& text) -> std::string {
        std::string checked = text;
        return text == "auto" ? "" : beta_range(checked);
    },
    "in (0, 10000] or auto");

inline const CLI::Validator alpha_range(
    [](const std::string& text) -> std::string {
        char* end = nullptr;
        const float alpha = std::strtof(text.c_str(), &end);
        const bool good = *end == '\0' && alpha >= 0 && alpha <= max_alpha;
        return good ? "" : "must be in [0, 100]";
    },
    "in [0, 100]");

inline const CLI::Validator k_factor_range(
    [](const std::string& text) -> std::string {
        char* end = nullptr;
        const float factor = std::strtof(text.c_str(), &end);
        const bool good = *end == '\0' && factor >= 1 && factor <= 1e9F;
        return good ? "" : "must be in [1, 1e9]";
    },
    "in [1, 1e9]");

inline const CLI::Validator is_row_range(
    [](const std::string& text) -> std::string {
        char* end = nullptr;
        const long long begin = std::strtoll(text.c_str(), &end, 10);
        if (end == text.c_str() || *end != ':') return "must be BEGIN:END";
        const char* second = end + 1;
        const long long last = std::strtoll(second, &end, 10);
        constexpr long long too_large = std::numeric_limits<long long>::max();
        const bool good = end != second && *end == '\0' && begin >= 0 &&
                          begin < last && last < too_large;
        return good ? "" : "must be BEGIN:END with 0 <= BEGIN < END";
    },
    "BEGIN:END");

}  // namespace faiss_qbnorm::cli
