#include "faiss_qbnorm/cli/answer_files.h"

#include <filesystem>

#include "faiss_qbnorm/cli/common.h"
#include "faiss_qbnorm/io/npy.h"

namespace faiss_qbnorm::cli {

namespace {

std::string writable(const std::string& path,
                     const std::vector<std::string>& inputs) {
    require_writable(path, inputs);
    return path;
}

}  // namespace

AnswerFiles::AnswerFiles(const std::string& prefix,
                         const std::vector<std::string>& inputs, idx_t nq,
                         idx_t k)
    : k_(k),
      labels_path_(writable(prefix + ".labels.npy", inputs)),
      distances_(writable(prefix + ".distances.npy", inputs)),
      labels_(labels_path_) {
    write_npy_header(distances_, ElementType::float32, nq, k);
    write_npy_header(labels_, ElementType::int64, nq, k);
}

void AnswerFiles::append(idx_t rows, const float* distances,
                         const idx_t* labels) {
    distances_.write(distances, sizeof(float) * rows * k_);
    labels_.write(labels, sizeof(idx_t) * rows * k_);
}

void AnswerFiles::commit() {
    labels_.sync();
    distances_.sync();
    // Labels of an earlier answer must not stand beside these distances.
    std::filesystem::remove(labels_path_);
    distances_.commit();
    labels_.commit();
}

}  // namespace faiss_qbnorm::cli
