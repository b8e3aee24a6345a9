#pragma once

#include <faiss/Index.h>

#include <memory>
#include <string>

namespace faiss_qbnorm::cli {

/// The index in a file, with FAISS's parameters ("nprobe=32") applied. Throws
/// an Error naming the file.
std::unique_ptr<faiss::Index> read_faiss(const std::string& path,
                                         const std::string& parameters = "");

}  // namespace faiss_qbnorm::cli
