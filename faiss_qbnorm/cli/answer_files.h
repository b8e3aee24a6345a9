#pragma once

#include <string>
#include <vector>

#include "faiss_qbnorm/core/types.h"
#include "faiss_qbnorm/io/output_file.h"

namespace faiss_qbnorm::cli {

/// PREFIX.distances.npy (float32) and PREFIX.labels.npy (int64), nq x k. The
/// labels appear last: where they are, the answer is complete.
class AnswerFiles {
  public:
    /// Throws where a file would replace one of the `inputs`.
    AnswerFiles(const std::string& prefix,
                const std::vector<std::string>& inputs, idx_t nq, idx_t k);

    void append(idx_t rows, const float* distances, const idx_t* labels);
    void commit();

  private:
    idx_t k_;
    std::string labels_path_;
    OutputFile distances_;
    OutputFile labels_;
};

}  // namespace faiss_qbnorm::cli
