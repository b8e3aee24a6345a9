#include "faiss_qbnorm/io/array_file.h"

#include <cstring>
#include <filesystem>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/io/npy.h"

namespace faiss_qbnorm {

namespace {

constexpr std::int64_t largest_d = 1 << 20;

std::int32_t int32_at(const MappedFile& file, size_t offset) {
    std::int32_t value = 0;
    std::memcpy(&value, file.bytes().data() + offset, sizeof value);
    return value;
}

void check_d(const std::string& path, std::int64_t d) {
    require(d >= 1 && d <= largest_d, path, ": its header gives dimension ", d,
            ", which is not in 1 to ", largest_d, "; is it such a file?");
}

// .fvecs, .ivecs
ArrayFile open_vecs(std::shared_ptr<const MappedFile> file, ElementType type) {
    const size_t size = file->bytes().size();
    require(size >= 4, file->path(), ": is too short for a row");
    const std::int32_t d = int32_at(*file, 0);
    check_d(file->path(), d);
    const size_t stride = 4 + size_t{4} * d;
    require(size % stride == 0, file->path(), ": its ", size,
            " bytes are not whole rows of d = ", d,
            "; it is truncated or not such a file");
    const auto rows = static_cast<idx_t>(size / stride);
    return {std::move(file), type, rows, d, 4, stride, true};
}

// .fbin, .ibin
ArrayFile open_bin(std::shared_ptr<const MappedFile> file, ElementType type) {
    const size_t size = file->bytes().size();
    require(size >= 8, file->path(), ": is too short for its header");
    const auto rows = static_cast<std::uint32_t>(int32_at(*file, 0));
    const auto d = static_cast<std::uint32_t>(int32_at(*file, 4));
    check_d(file->path(), d);
    const size_t stride = size_t{4} * d;
    require(size - 8 == rows * stride, file->path(), ": its header says ", rows,
            " x ", d, " but it has ", size, " bytes instead of ",
            8 + rows * stride, "; it is truncated or not such a file");
    return {std::move(file), type, rows, static_cast<int>(d), 8, stride, false};
}

}  // namespace

size_t size_of(ElementType type) {
    switch (type) {
        case ElementType::boolean:
        case ElementType::int8:
            return 1;
        case ElementType::float16:
            return 2;
        case ElementType::float32:
        case ElementType::int32:
            return 4;
        case ElementType::float64:
        case ElementType::int64:
            return 8;
    }
    fail("unknown element type");
}

std::string name_of(ElementType type) {
    switch (type) {
        case ElementType::float32:
            return "float32";
        case ElementType::float16:
            return "float16";
        case ElementType::float64:
            return "float64";
        case ElementType::int8:
            return "int8";
        case ElementType::int32:
            return "int32";
        case ElementType::int64:
            return "int64";
        case ElementType::boolean:
            return "bool";
    }
    fail("unknown element type");
}

ArrayFile ArrayFile::open(const std::string& path) {
    const auto file = MappedFile::open(path);
    const std::string extension = std::filesystem::path(path).extension();
    if (extension == ".npy") return open_npy(file);
    if (extension == ".fvecs") return open_vecs(file, ElementType::float32);
    if (extension == ".ivecs") return open_vecs(file, ElementType::int32);
    if (extension == ".fbin") return open_bin(file, ElementType::float32);
    if (extension == ".ibin") return open_bin(file, ElementType::int32);
    fail(path, ": unknown extension '", extension,
         "'; give .npy, .fvecs, .ivecs, .fbin or .ibin");
}

const std::byte* ArrayFile::row(idx_t i) const {
    const size_t offset = first + i * stride;
    if (counted_rows) {
        const std::int32_t count = int32_at(*file, offset - 4);
        require(count == d, path(), ": row ", i, " has dimension ", count,
                " but row 0 has ", d, "; the file is damaged");
    }
    return file->bytes().data() + offset;
}

}  // namespace faiss_qbnorm
