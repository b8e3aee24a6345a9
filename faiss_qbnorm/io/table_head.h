#pragma once

#include <bit>
#include <vector>

#include "faiss_qbnorm/core/types.h"
#include "faiss_qbnorm/io/mapped_file.h"

/// What stands before the first section of a .qbn file (table_file.h).

namespace faiss_qbnorm::table_file {

static_assert(std::endian::native == std::endian::little,
              ".qbn files are mapped as they are: little-endian");

// The line ends show a file that was copied as text.
inline constexpr char file_magic[8] = {'Q', 'B', 'N',  'O',
                                       'R', 'M', '\r', '\n'};
inline constexpr std::uint32_t file_version = 2;
inline constexpr size_t alignment = 64;
inline constexpr std::uint32_t most_columns = 1024;

enum class Section : std::uint32_t {
    offsets = 0,
    activation = 1,
    list_labels = 2,
    list_scores = 3,
    log_weights = 4,
};

struct Header {
    char magic[8];
    std::uint32_t version;
    std::uint32_t columns;
    std::uint32_t sections;
    std::uint32_t reserved_1;
    std::uint64_t head_size;  ///< bytes before the first section
    std::uint64_t file_size;
    std::uint64_t checksum;  ///< of the head with this field 0
    std::uint64_t reserved_2[2];
};
static_assert(sizeof(Header) == 64);

struct TableInfo {
    std::uint32_t d;
    std::uint32_t metric;
    std::int64_t gallery_size;
    std::int64_t begin;
    std::int64_t end;
    std::uint64_t fingerprint;
    std::int64_t holes;
};
static_assert(sizeof(TableInfo) == 48);

struct ColumnInfo {
    std::uint32_t bank;
    std::uint32_t method;
    float beta;
    float beta2;  ///< 0 in version 1
    std::int64_t activation_k;
    std::int64_t bank_size;
    std::int64_t list_length;  ///< 0: no bank lists
    std::uint64_t bank_fingerprint;
    // From here on since version 2.
    std::int64_t neighbours;
    float alpha;
    std::int32_t iterations;
};
static_assert(sizeof(ColumnInfo) == 64);

struct SectionInfo {
    std::uint32_t kind;
    std::uint32_t column;
    std::uint64_t offset;
    std::uint64_t size;
    std::uint64_t checksum;
};
static_assert(sizeof(SectionInfo) == 32);

struct Head {
    Header header{};
    TableInfo table{};
    std::vector<ColumnInfo> columns;
    std::vector<SectionInfo> sections;

    /// As it stands in the file, padded to the first section.
    std::vector<char> bytes() const;
    std::uint64_t checksum() const;
};

/// Throws an Error naming the file where a byte of its head is not as it was
/// written, or a section is not inside the file.
Head read_head(const MappedFile& file);

}  // namespace faiss_qbnorm::table_file
