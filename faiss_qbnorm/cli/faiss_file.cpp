#include "faiss_qbnorm/cli/faiss_file.h"

#include <faiss/AutoTune.h>
#include <faiss/index_io.h>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/io/mapped_file.h"

namespace faiss_qbnorm::cli {

std::unique_ptr<faiss::Index> read_faiss(const std::string& path,
                                         const std::string& parameters) {
    MappedFile::open(path);  // says why, where it cannot be opened
    try {
        std::unique_ptr<faiss::Index> index(faiss::read_index(path.c_str()));
        if (!parameters.empty()) {
            faiss::ParameterSpace().set_index_parameters(index.get(),
                                                         parameters.c_str());
        }
        return index;
    } catch (const std::exception& problem) {
        fail(path, ": FAISS refuses it: ", problem.what());
    }
}

}  // namespace faiss_qbnorm::cli
