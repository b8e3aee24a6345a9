#include "faiss_qbnorm/cli/faiss_file.h"

#include <faiss/AutoTune.h>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/index_io.h"
#include "faiss_qbnorm/io/index_file.h"

namespace faiss_qbnorm::cli {

namespace {

[[noreturn]] void refuse(const std::string& path, const std::exception& why) {
    fail(path, ": FAISS refuses it: ", why.what());
}

}  // namespace

std::unique_ptr<faiss::Index> read_index(const std::string& path,
                                         std::shared_ptr<const Engine> engine) {
    const bool named = is_index_file(path);  // its errors name the file
    try {
        return std::unique_ptr<faiss::Index>(
            read_index_qbnorm(path.c_str(), 0, std::move(engine)));
    } catch (const std::exception& problem) {
        if (named) throw;
        refuse(path, problem);
    }
}

void set_parameters(faiss::Index& index, const std::string& parameters,
                    const std::string& path) {
    if (parameters.empty()) return;
    try {
        faiss::ParameterSpace().set_index_parameters(&index,
                                                     parameters.c_str());
    } catch (const std::exception& problem) {
        refuse(path, problem);
    }
}

}  // namespace faiss_qbnorm::cli
