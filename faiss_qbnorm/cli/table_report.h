#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "faiss_qbnorm/core/norm_table.h"
#include "faiss_qbnorm/io/index_file.h"

namespace faiss_qbnorm::cli {

/// One line of words.
std::string describe(const NormTable& table);
std::string describe(const IndexFile& file);

/// The same as fields of a report.
void describe(const NormTable& table, nlohmann::ordered_json& report);
void describe(const IndexFile& file, nlohmann::ordered_json& report);

}  // namespace faiss_qbnorm::cli
