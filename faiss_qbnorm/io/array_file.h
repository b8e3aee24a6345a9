#pragma once

#include <memory>
#include <string>

#include "faiss_qbnorm/core/types.h"
#include "faiss_qbnorm/io/mapped_file.h"

namespace faiss_qbnorm {

enum class ElementType {
    float32,
    float16,
    float64,
    int8,
    int32,
    int64,
    boolean
};

size_t size_of(ElementType type);
std::string name_of(ElementType type);

/// The rows of a memory-mapped array file. The extension names the format:
///   .npy            NumPy, C order, little-endian, one or two dimensions
///   .fvecs, .ivecs  per row: int32 d, then d float32 or int32
///   .fbin, .ibin    uint32 rows, uint32 d, then rows x d float32 or int32
/// One-dimensional arrays have d = 1.
struct ArrayFile {
    std::shared_ptr<const MappedFile> file;
    ElementType type = ElementType::float32;
    idx_t rows = 0;
    int d = 0;
    size_t first = 0;           ///< byte of row 0
    size_t stride = 0;          ///< bytes from row to row
    bool counted_rows = false;  ///< each row is preceded by its d (.fvecs)

    /// Throws an Error naming the file where it is not such an array, or not
    /// exactly as long as its header says.
    static ArrayFile open(const std::string& path);

    const std::string& path() const { return file->path(); }

    /// The bytes of a row, perhaps not aligned. Throws where the row's own
    /// count (.fvecs) is not d.
    const std::byte* row(idx_t i) const;
};

}  // namespace faiss_qbnorm
