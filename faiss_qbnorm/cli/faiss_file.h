#pragma once

#include <faiss/Index.h>

#include <memory>
#include <string>

#include "faiss_qbnorm/engine.h"

namespace faiss_qbnorm::cli {

/// Reads the file of an IndexQBNorm, which then has this engine, or of an
/// index of FAISS. Errors name the file.
std::unique_ptr<faiss::Index> read_index(const std::string& path,
                                         std::shared_ptr<const Engine> engine);

/// Sets FAISS's words (nprobe=32,efSearch=64) on an index of the file.
void set_parameters(faiss::Index& index, const std::string& parameters,
                    const std::string& path);

}  // namespace faiss_qbnorm::cli
