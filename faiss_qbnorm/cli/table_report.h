#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "faiss_qbnorm/core/norm_table.h"

namespace faiss_qbnorm::cli {

/// One line of words.
std::string describe(const NormTable& table);

/// The same as fields of a report.
void describe(const NormTable& table, nlohmann::ordered_json& report);

}  // namespace faiss_qbnorm::cli
