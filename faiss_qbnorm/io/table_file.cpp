#include "faiss_qbnorm/io/table_file.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "faiss_qbnorm/core/error.h"

namespace faiss_qbnorm {

namespace {

static_assert(std::endian::native == std::endian::little,
              ".qbn files are mapped as they are: little-endian");

// The line ends show a file that was copied as text.
constexpr char file_magic[8] = {'Q', 'B', 'N', 'O', 'R', 'M', '\r', '\n'};
constexpr std::uint32_t file_version = 2;
constexpr std::uint32_t first_version = 1;
constexpr size_t alignment = 64;
constexpr std::uint32_t most_columns = 1024;

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

size_t column_size(std::uint32_t version) {
    return version == 1 ? offsetof(ColumnInfo, neighbours) : sizeof(ColumnInfo);
}

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

    // As it stands in the file, padded to the first section.
    std::vector<char> bytes() const {
        std::vector<char> result;
        const auto append = [&](const void* data, size_t size) {
            const char* first = static_cast<const char*>(data);
            result.insert(result.end(), first, first + size);
        };
        append(&header, sizeof header);
        append(&table, sizeof table);
        for (const ColumnInfo& column : columns) {
            append(&column, column_size(header.version));
        }
        append(sections.data(), sections.size() * sizeof(SectionInfo));
        result.resize((result.size() + alignment - 1) / alignment * alignment);
        return result;
    }

    std::uint64_t checksum() const {
        Head copy = *this;
        copy.header.checksum = 0;
        const std::vector<char> content = copy.bytes();
        return XXH3_64bits(content.data(), content.size());
    }
};

// ---- writing ----

using Bytes = std::span<const std::byte>;

struct Content {
    Section kind;
    std::uint32_t column;
    Bytes bytes;
};

std::vector<Content> contents_of(const NormTable& table) {
    std::vector<Content> result;
    for (std::uint32_t i = 0; i < table.columns.size(); i++) {
        const BankColumn& column = table.columns[i];
        result.push_back(
            {Section::offsets, i, std::as_bytes(column.offsets.view())});
        result.push_back({Section::activation, i,
                          std::as_bytes(column.activation.words().view())});
        if (column.has_weights()) {
            result.push_back({Section::log_weights, i,
                              std::as_bytes(column.log_weights.view())});
        }
        if (column.lists.length == 0) continue;
        result.push_back({Section::list_labels, i,
                          std::as_bytes(column.lists.labels.view())});
        result.push_back({Section::list_scores, i,
                          std::as_bytes(column.lists.scores.view())});
    }
    return result;
}

size_t aligned(size_t offset) {
    return (offset + alignment - 1) / alignment * alignment;
}

Head head_of(const NormTable& table, const std::vector<Content>& contents) {
    Head head;
    std::copy(std::begin(file_magic), std::end(file_magic), head.header.magic);
    head.header.version = file_version;
    head.header.columns = static_cast<std::uint32_t>(table.columns.size());
    head.header.sections = static_cast<std::uint32_t>(contents.size());
    head.table = {static_cast<std::uint32_t>(table.d),
                  static_cast<std::uint32_t>(table.metric),
                  table.gallery_size,
                  table.begin,
                  table.end,
                  table.fingerprint,
                  table.holes};
    for (const BankColumn& column : table.columns) {
        const Normalization& n = column.normalization;
        head.columns.push_back({static_cast<std::uint32_t>(column.bank),
                                static_cast<std::uint32_t>(n.method), n.beta,
                                n.beta2, n.activation_k, column.bank_size,
                                column.lists.length, column.bank_fingerprint,
                                n.neighbours, n.alpha, n.iterations});
    }
    head.sections.resize(contents.size());
    size_t end = head.bytes().size();
    head.header.head_size = end;
    for (size_t i = 0; i < contents.size(); i++) {
        const Bytes bytes = contents[i].bytes;
        const size_t offset = aligned(end);
        head.sections[i] = {static_cast<std::uint32_t>(contents[i].kind),
                            contents[i].column, offset, bytes.size(),
                            XXH3_64bits(bytes.data(), bytes.size())};
        end = offset + bytes.size();
    }
    head.header.file_size = end;
    head.header.checksum = head.checksum();
    return head;
}

// ---- reading ----

template <class T>
T take(const MappedFile& file, size_t& offset, size_t size = sizeof(T)) {
    require(file.bytes().size() - offset >= size, file.path(),
            ": is truncated in its header; write it again");
    T result{};
    std::memcpy(&result, file.bytes().data() + offset, size);
    offset += size;
    return result;
}

void check_header(const MappedFile& file, const Header& header) {
    const std::string& path = file.path();
    require(
        std::equal(std::begin(file_magic), std::end(file_magic), header.magic),
        path, ": is not a .qbn table");
    require(header.version >= first_version && header.version <= file_version,
            path, ": is a .qbn of version ", header.version,
            " but this program reads versions ", first_version, " to ",
            file_version);
    require(header.file_size == file.bytes().size(), path, ": has ",
            file.bytes().size(), " bytes but its header says ",
            header.file_size, "; it is truncated or damaged");
    require(header.columns >= 1 && header.columns <= most_columns &&
                header.sections <= 5 * header.columns,
            path, ": its header is damaged");
}

void check_sections(const MappedFile& file, const Head& head) {
    const size_t size = file.bytes().size();
    for (const SectionInfo& section : head.sections) {
        require(section.offset % alignment == 0 &&
                    section.offset >= head.header.head_size &&
                    section.offset <= size &&
                    section.size <= size - section.offset,
                file.path(), ": a section is not inside the file");
    }
}

Head read_head(const MappedFile& file) {
    size_t offset = 0;
    Head head;
    head.header = take<Header>(file, offset);
    check_header(file, head.header);
    head.table = take<TableInfo>(file, offset);
    for (std::uint32_t i = 0; i < head.header.columns; i++) {
        head.columns.push_back(
            take<ColumnInfo>(file, offset, column_size(head.header.version)));
    }
    for (std::uint32_t i = 0; i < head.header.sections; i++) {
        head.sections.push_back(take<SectionInfo>(file, offset));
    }
    const std::vector<char> written = head.bytes();
    require(head.header.head_size == written.size() &&
                head.header.checksum == head.checksum(),
            file.path(), ": its header is damaged (wrong checksum)");
    require(written.size() <= file.bytes().size() &&
                std::memcmp(written.data(), file.bytes().data(),
                            written.size()) == 0,
            file.path(), ": its header is damaged (padding)");
    check_sections(file, head);
    return head;
}

// A section as an array of `count` T. Every number of the file is suspect.
template <class T>
SharedArray<T> section_array(const std::shared_ptr<const MappedFile>& file,
                             const Head& head, Section kind,
                             std::uint32_t column, idx_t count) {
    for (const SectionInfo& section : head.sections) {
        if (section.kind != static_cast<std::uint32_t>(kind) ||
            section.column != column) {
            continue;
        }
        require(section.size % sizeof(T) == 0 &&
                    section.size / sizeof(T) == static_cast<size_t>(count),
                file->path(), ": a section has the wrong size");
        return {
            file,
            {reinterpret_cast<const T*>(file->bytes().data() + section.offset),
             static_cast<size_t>(count)}};
    }
    fail(file->path(), ": a section is missing");
}

Normalization normalization_of(const Head& head, const ColumnInfo& info) {
    Normalization result(static_cast<Method>(info.method), info.beta,
                         info.activation_k);
    if (head.header.version == 1) {
        require(result.method <= Method::dis, "version 1 knows no method ",
                info.method);
        if (info.bank != 0) result.beta2 = info.beta;  // each had its own
        return result;
    }
    result.beta2 = info.beta2;
    result.neighbours = info.neighbours;
    result.alpha = info.alpha;
    result.iterations = info.iterations;
    return result;
}

BankColumn read_column(const std::shared_ptr<const MappedFile>& file,
                       const Head& head, std::uint32_t i, idx_t size) {
    const ColumnInfo& info = head.columns[i];
    BankColumn column;
    column.bank = static_cast<Bank>(info.bank);
    try {
        column.normalization = normalization_of(head, info);
        check(column.normalization);
    } catch (const Error& problem) {
        fail(file->path(), ": ", problem.what());
    }
    constexpr idx_t most = idx_t{1} << 31;  // keeps products below 2^63
    require(info.bank <= static_cast<std::uint32_t>(Bank::gallerybank) &&
                info.bank_size >= 1 && info.bank_size < most &&
                info.list_length >= 0 && info.list_length < most,
            file->path(), ": a column's counts are damaged");
    column.bank_size = info.bank_size;
    column.bank_fingerprint = info.bank_fingerprint;
    column.offsets =
        section_array<float>(file, head, Section::offsets, i, size);
    column.activation = ActivationSet(section_array<std::uint64_t>(
        file, head, Section::activation, i,
        static_cast<idx_t>(
            ActivationSet::words_for(column.has_activation() ? size : 0))));
    if (column.has_weights()) {
        column.log_weights = section_array<float>(
            file, head, Section::log_weights, i, info.bank_size);
    }
    column.lists.length = info.list_length;
    if (info.list_length > 0) {
        const idx_t count = info.bank_size * info.list_length;
        column.lists.labels =
            section_array<idx_t>(file, head, Section::list_labels, i, count);
        column.lists.scores =
            section_array<float>(file, head, Section::list_scores, i, count);
    }
    return column;
}

NormTable table_of(const std::shared_ptr<const MappedFile>& file,
                   const Head& head) {
    const TableInfo& info = head.table;
    require(info.d >= 1 && info.d <= (1U << 30) &&
                info.metric <= static_cast<std::uint32_t>(Metric::l2) &&
                info.begin >= 0 && info.begin <= info.end &&
                info.end <= info.gallery_size && info.holes >= 0 &&
                info.holes <= info.end - info.begin,
            file->path(), ": its row range, d or metric is damaged");
    NormTable table{static_cast<int>(info.d),
                    static_cast<Metric>(info.metric),
                    info.gallery_size,
                    info.begin,
                    info.end,
                    info.fingerprint,
                    {},
                    info.holes};
    size_t sections = 0;
    for (std::uint32_t i = 0; i < head.header.columns; i++) {
        table.columns.push_back(read_column(file, head, i, table.size()));
        const BankColumn& column = table.columns[i];
        sections += column.lists.length > 0 ? 4 : 2;
        sections += column.has_weights() ? 1 : 0;
    }
    require(head.sections.size() == sections, file->path(),
            ": a section belongs to no column");
    try {
        check(table);
    } catch (const Error& problem) {
        fail(file->path(), ": ", problem.what());
    }
    return table;
}

void verify_content(const std::string& path, const NormTable& table,
                    const BankColumn& column) {
    for (const float offset : column.offsets) {
        require(std::isfinite(offset), path, ": an offset is NaN or Inf");
    }
    for (const idx_t label : column.lists.labels) {
        require(label == -1 || (label >= table.begin && label < table.end),
                path, ": a bank list holds label ", label,
                ", which is not in the table");
    }
    for (const float score : column.lists.scores) {
        require(!std::isnan(score), path, ": a bank list holds a NaN score");
    }
    for (const float weight : column.log_weights) {
        require(std::isfinite(weight), path, ": a weight is NaN or Inf");
    }
    const auto& words = column.activation.words();
    const idx_t tail = table.size() % 64;
    require(words.empty() || tail == 0 || words[words.size() - 1] >> tail == 0,
            path, ": the activation set is longer than the table");
}

void check_writable(const NormTable& table, const std::string& where) {
    require(!table.columns.empty() && table.columns.size() <= most_columns,
            where, "a table of ", table.columns.size(),
            " columns cannot be written; it must have 1 to ", most_columns);
    check(table);
}

}  // namespace

void write_table(const NormTable& table, const Sink& sink) {
    check_writable(table, "");
    const std::vector<Content> contents = contents_of(table);
    const Head head = head_of(table, contents);
    const std::vector<char> first = head.bytes();
    sink(std::as_bytes(std::span(first)));
    size_t written = first.size();
    for (size_t i = 0; i < contents.size(); i++) {
        const std::vector<char> gap(head.sections[i].offset - written, 0);
        sink(std::as_bytes(std::span(gap)));
        sink(contents[i].bytes);
        written = head.sections[i].offset + contents[i].bytes.size();
    }
}

void write_table(const NormTable& table, const std::string& path) {
    check_writable(table, path + ": ");
    OutputFile out(path);
    write_table(table, [&](Bytes bytes) { out.write(bytes); });
    out.commit();
}

NormTable read_table(const std::string& path) {
    return read_table(MappedFile::open(path));
}

NormTable read_table(const std::shared_ptr<const MappedFile>& file) {
    return table_of(file, read_head(*file));
}

void verify_table(const std::string& path) {
    verify_table(MappedFile::open(path));
}

void verify_table(const std::shared_ptr<const MappedFile>& file) {
    const std::string& path = file->path();
    const Head head = read_head(*file);
    const NormTable table = table_of(file, head);
    for (const SectionInfo& section : head.sections) {
        require(XXH3_64bits(file->bytes().data() + section.offset,
                            section.size) == section.checksum,
                path, ": section ", section.kind, " of column ", section.column,
                " is damaged (wrong checksum); fit the table again");
    }
    for (const BankColumn& column : table.columns) {
        verify_content(path, table, column);
    }
}

bool is_table(const std::string& path) {
    const auto file = MappedFile::open(path);
    return file->bytes().size() >= sizeof file_magic &&
           std::memcmp(file->bytes().data(), file_magic, sizeof file_magic) ==
               0;
}

}  // namespace faiss_qbnorm
