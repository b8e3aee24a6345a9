#pragma once

#include <memory>
#include <string>

#include "faiss_qbnorm/core/norm_table.h"
#include "faiss_qbnorm/io/mapped_file.h"
#include "faiss_qbnorm/io/output_file.h"

namespace faiss_qbnorm {

/// The .qbn file, little-endian, every section at a multiple of 64 bytes:
///
///   Header         64 bytes: magic, version, counts, sizes, checksum
///   TableInfo      48 bytes: d, metric, gallery_size, begin, end, fingerprint,
///                  holes
///   ColumnInfo     64 bytes each: bank, method, beta, activation_k, ... (in
///                  version 1, which is read but not written, 48 bytes)
///   SectionInfo    32 bytes each: kind, column, offset, size, checksum
///   sections       offsets float32, activation uint64 words, list labels
///                  int64, list scores float32, logarithms of weights
///                  float32; a column without bank lists has no list
///                  sections, only one of dbsn has weights
///
/// The header's checksum covers all that stands before the first section, a
/// section's checksum the section (XXH3, 64 bits).

/// Writes the file whole or not at all.
void write_table(const NormTable& table, const std::string& path);
/// Its bytes, as a part of another file.
void write_table(const NormTable& table, const Sink& sink);

/// Maps the file: offsets and bits are read when they are used. Verifies the
/// header and every size, not the sections. Throws an Error naming the file.
NormTable read_table(const std::string& path);
NormTable read_table(const std::shared_ptr<const MappedFile>& file);

/// Reads every section and throws where its checksum or its content is wrong.
void verify_table(const std::string& path);
void verify_table(const std::shared_ptr<const MappedFile>& file);

/// read_table of a file that verify_table has read: for those who use all of it
/// anyway.
NormTable read_verified_table(const std::string& path);

/// Whether the file begins as a .qbn file does. Throws where it cannot be read.
bool is_table(const std::string& path);

}  // namespace faiss_qbnorm
