#pragma once

#include <string>
#include <vector>

#include "faiss_qbnorm/gallery.h"
#include "faiss_qbnorm/io/array_file.h"

namespace faiss_qbnorm {

/// A matrix in memory.
struct Matrix {
    std::vector<float> data;
    idx_t rows = 0;
    int d = 0;

    MatrixView view() const { return {data.data(), rows, d}; }
};

/// Some of the rows, in this order.
Matrix rows_of(const Matrix& matrix, const std::vector<idx_t>& rows);

/// The float32 or float16 vectors of a file (see ArrayFile), read as float32,
/// each divided by its norm where `normalize` asks for it.
class VectorFile : public Gallery {
  public:
    VectorFile(const std::string& path, bool normalize, idx_t block_rows = 0);

    idx_t size() const override { return array_.rows; }
    int d() const override { return array_.d; }
    std::string name() const override { return array_.path(); }
    void for_each_block(idx_t begin, idx_t end,
                        const BlockVisitor& visit) const override;

    /// All rows. Throws on NaN or Inf, naming file and row.
    Matrix read() const;

  private:
    void convert(idx_t begin, idx_t end, float* out) const;

    ArrayFile array_;
    bool normalize_;
    idx_t block_rows_;
};

/// The integers of a file (one or two dimensions), as labels.
std::vector<idx_t> read_labels(const ArrayFile& array);

/// The bools or integers of a file, in order: whether each is not 0.
std::vector<bool> read_mask(const ArrayFile& array);

}  // namespace faiss_qbnorm
