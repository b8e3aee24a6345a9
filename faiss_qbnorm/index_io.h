#pragma once

#include <memory>

#include "faiss_qbnorm/IndexQBNorm.h"

namespace faiss_qbnorm {

/// Files of an IndexQBNorm, as faiss::write_index and faiss::read_index do
/// (their layout: io/index_file.h). Everything that search and add need is
/// in the file: base, table, querybank, `normalization`, k_factor and
/// min_candidates, and the ids of an ID map around it. Errors are
/// faiss::FaissException with a sentence that names the file.

/// Writes an IndexQBNorm, or a faiss::IndexIDMap or IndexIDMap2 directly over
/// one; refuses any other index, and one whose lists IO_FLAG_MMAP left in the
/// file they were read from (FAISS would write their name, which they do not
/// have). The file appears whole or not at all: an old one stays until then.
void write_index_qbnorm(const faiss::Index* index, const char* fname);

/// Reads such a file, and any other file as faiss::read_index does. The
/// caller owns the result, and the result everything in it. The engine is
/// make_engine()'s choice where none is given.
///
/// `io_flags` are FAISS's, for the base. Without an mmap flag every byte is
/// held to its checksum before FAISS parses it, and the file is not needed
/// any more. With IO_FLAG_MMAP (or IO_FLAG_MMAP_IFC, FAISS >= 1.11) the base's
/// bytes and the table's arrays stay in the file, which must not change, and
/// are not verified; everything else is.
///
/// Checksums keep accidents from FAISS, not malice: FAISS 1.7.3's own reader
/// trusts the sizes in a stream, so read no files of strangers with it.
faiss::Index* read_index_qbnorm(const char* fname, int io_flags = 0,
                                std::shared_ptr<const Engine> engine = nullptr);

/// The IndexQBNorm that the index is, or that its ID map holds, or nullptr.
const IndexQBNorm* qbnorm_in(const faiss::Index& index);
IndexQBNorm* qbnorm_in(faiss::Index& index);

}  // namespace faiss_qbnorm
