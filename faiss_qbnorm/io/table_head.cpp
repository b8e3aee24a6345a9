#include "faiss_qbnorm/io/table_head.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "faiss_qbnorm/core/error.h"

namespace faiss_qbnorm::table_file {

namespace {

constexpr std::uint32_t first_version = 1;

size_t column_size(std::uint32_t version) {
    return version == 1 ? offsetof(ColumnInfo, neighbours) : sizeof(ColumnInfo);
}

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

}  // namespace

std::vector<char> Head::bytes() const {
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

std::uint64_t Head::checksum() const {
    Head copy = *this;
    copy.header.checksum = 0;
    const std::vector<char> content = copy.bytes();
    return XXH3_64bits(content.data(), content.size());
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

}  // namespace faiss_qbnorm::table_file
