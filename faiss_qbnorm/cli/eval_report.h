#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "faiss_qbnorm/eval/evaluate.h"

namespace faiss_qbnorm::cli {

/// A row for each method.
void print(std::span<const MethodReport> reports);

nlohmann::ordered_json to_json(const MethodReport& report);

/// The hubs of each method, as eval knows them.
struct HubReport {
    idx_t count = 0;  ///< of each method
    std::vector<idx_t> bank_first;
    std::vector<idx_t> names;  ///< of items; empty: their labels

    void print(std::span<const MethodReport> reports) const;
    nlohmann::ordered_json to_json(const MethodReport& report) const;

  private:
    std::vector<Hub> hubs_of(const MethodReport& report) const;
};

/// The k-occurrence under each method.
void plot(std::span<const MethodReport> reports, const std::string& path);

}  // namespace faiss_qbnorm::cli
