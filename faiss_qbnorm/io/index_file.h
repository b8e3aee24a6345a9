#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "faiss_qbnorm/core/norm_table.h"
#include "faiss_qbnorm/io/mapped_file.h"
#include "faiss_qbnorm/io/output_file.h"

namespace faiss_qbnorm {

/// The file of an IndexQBNorm, little-endian; every part at a multiple of 64
/// bytes, with zeros between:
///
///   Header    256 bytes: magic, version, sizes, settings, and of each part
///             offset, size and checksum; documented in index_file.cpp
///   ids       int64 each, where an ID map is around the index; else none
///   table     a .qbn file (table_file.h); none before the first fit
///   bank      m x d float32; none where the index has none
///   gallerybank  the same
///   base      the base index as faiss::write_index writes it, to the end
///
/// Checksums are XXH3, 64 bits; the header's covers the header.

/// The ID map around the index, if any: faiss::IndexIDMap, IndexIDMap2.
enum class IdMap : std::uint32_t { none = 0, one_way = 1, two_way = 2 };

/// What such a file says of an index beside its arrays.
struct IndexInfo {
    int d = 0;
    Metric metric = Metric::inner_product;
    idx_t ntotal = 0;
    IdMap id_map = IdMap::none;
    Normalization normalization;
    float k_factor = 0;
    idx_t min_candidates = 0;
};

/// The arrays, wherever they lie.
struct IndexParts {
    std::span<const idx_t> ids;  ///< ntotal, or none
    const NormTable* table = nullptr;
    MatrixView bank = {};
    MatrixView gallerybank = {};
};

/// Writes the file whole or not at all; `write_base` gives the base's bytes.
void write_index_file(const std::string& path, const IndexInfo& info,
                      const IndexParts& parts,
                      const std::function<void(const Sink&)>& write_base);

/// A file that was read; the arrays lie in it.
struct IndexFile {
    IndexInfo info;
    std::shared_ptr<const MappedFile> file;
    std::span<const idx_t> ids;
    std::optional<NormTable> table;
    MatrixView bank;
    MatrixView gallerybank;
    std::span<const std::byte> base;

    size_t base_offset() const { return base.data() - file->bytes().data(); }
    std::span<const std::byte> header() const;
};

/// What of a file is read at once, and so held to its checksums and ranges.
enum class Verify {
    small,  ///< header, ids, bank, the table's head
    all,    ///< the table's arrays and the base's bytes too
};

/// Maps the file. Throws an Error naming it where a byte that is read is not
/// as it was written, or the parts do not belong together.
IndexFile read_index_file(const std::string& path, Verify verify);

/// Whether the file begins as an index file does. Throws where it cannot be
/// read.
bool is_index_file(const std::string& path);

}  // namespace faiss_qbnorm
