#pragma once

#include <memory>

#include "faiss_qbnorm/io/array_file.h"
#include "faiss_qbnorm/similarities/similarities.h"

namespace faiss_qbnorm {

/// Similarities that were computed elsewhere: a matrix of rows x items, higher
/// is better, as the code published with the papers takes it.
class MatrixSimilarities : public Similarities {
  public:
    /// A float16, float32 or float64 array file, memory-mapped: it need not
    /// fit into memory. Throws where the file is no such array or is empty.
    explicit MatrixSimilarities(const std::string& path);

    /// A matrix in memory, which must stay alive.
    MatrixSimilarities(const MatrixView& matrix, std::string name);

    idx_t rows() const override { return rows_; }
    idx_t items() const override { return items_; }
    std::string name() const override { return name_; }

    /// Throws where a number is NaN, infinite or too large for float32, naming
    /// row and column.
    void read(idx_t begin, idx_t end, float* out) const override;

  private:
    template <class Element>
    void transpose(idx_t begin, idx_t end, float* out) const;
    template <class Element>
    [[noreturn]] void name_bad_number(idx_t begin, idx_t end) const;

    std::string name_;
    std::shared_ptr<const MappedFile> file_;
    ElementType type_;
    idx_t rows_;
    idx_t items_;
    const std::byte* first_;
    size_t stride_;  // bytes from row to row
};

}  // namespace faiss_qbnorm
