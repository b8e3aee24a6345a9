#include "faiss_qbnorm/io/table_file.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/io/table_head.h"

namespace faiss_qbnorm {

namespace {

using namespace table_file;

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

NormTable read_verified_table(const std::string& path) {
    const auto file = MappedFile::open(path);
    verify_table(file);
    return read_table(file);
}

bool is_table(const std::string& path) {
    const auto file = MappedFile::open(path);
    return file->bytes().size() >= sizeof file_magic &&
           std::memcmp(file->bytes().data(), file_magic, sizeof file_magic) ==
               0;
}

}  // namespace faiss_qbnorm
