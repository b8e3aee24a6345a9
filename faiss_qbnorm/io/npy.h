#pragma once

#include "faiss_qbnorm/io/array_file.h"
#include "faiss_qbnorm/io/output_file.h"

namespace faiss_qbnorm {

/// Reads the header of a NumPy .npy file (format 1.0 to 3.0).
ArrayFile open_npy(std::shared_ptr<const MappedFile> file);

/// Writes the header of a rows x d array; the elements follow.
void write_npy_header(OutputFile& out, ElementType type, idx_t rows, idx_t d);

}  // namespace faiss_qbnorm
