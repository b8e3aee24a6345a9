#include "faiss_qbnorm/io/npy.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <iterator>
#include <limits>
#include <string_view>
#include <vector>

#include "faiss_qbnorm/core/error.h"

namespace faiss_qbnorm {

namespace {

constexpr std::string_view magic{"\x93NUMPY", 6};

/// What NumPy calls the elements, quoted as in a header.
struct Descr {
    ElementType type;
    const char* text;
};
constexpr Descr descrs[] = {
    {ElementType::float32, "'<f4'"}, {ElementType::float16, "'<f2'"},
    {ElementType::float64, "'<f8'"}, {ElementType::int32, "'<i4'"},
    {ElementType::int64, "'<i8'"},   {ElementType::int8, "'|i1'"},
    {ElementType::boolean, "'|b1'"},
};

struct Header {
    std::string_view text;
    size_t data = 0;  ///< byte where the elements begin
};

Header find_header(const MappedFile& file) {
    const auto bytes = file.bytes();
    const std::string_view text{reinterpret_cast<const char*>(bytes.data()),
                                bytes.size()};
    require(text.starts_with(magic), file.path(),
            ": does not begin as a .npy file");
    require(text.size() >= 12, file.path(), ": is truncated in its header");
    const auto byte = [&](size_t i) {
        return std::to_integer<size_t>(bytes[i]);
    };
    const size_t version = byte(6);
    require(version >= 1 && version <= 3, file.path(), ": .npy format ",
            version, " is unknown");
    const size_t prefix = version == 1 ? 10 : 12;
    size_t length = byte(8) | byte(9) << 8;
    if (version > 1) length |= byte(10) << 16 | byte(11) << 24;
    require(length <= text.size() - prefix, file.path(),
            ": is truncated in its header");
    return {text.substr(prefix, length), prefix + length};
}

// What follows `'key':`, white space skipped; empty where there is no key.
std::string_view value_of(std::string_view header, std::string_view key) {
    const size_t at = header.find(key);
    if (at == std::string_view::npos) return {};
    header.remove_prefix(at + key.size());
    const size_t start = header.find_first_not_of(" \t:");
    return start == std::string_view::npos ? std::string_view{}
                                           : header.substr(start);
}

ElementType element_type(const std::string& path, std::string_view header) {
    const std::string_view value = value_of(header, "'descr'");
    const std::string_view name = value.substr(0, value.find_first_of(" \t,}"));
    for (const Descr& descr : descrs) {
        if (name == descr.text) return descr.type;
    }
    fail(path, ": its elements are ", name,
         "; save it as float16, float32, float64, int32 or int64, "
         "little-endian");
}

// "(3, 4)", "(3,)"
std::vector<idx_t> shape_of(const std::string& path, std::string_view header) {
    std::string_view rest = value_of(header, "'shape'");
    std::vector<idx_t> shape;
    require(rest.starts_with('('), path, ": its header has no shape");
    rest.remove_prefix(1);
    for (;;) {
        rest.remove_prefix(std::min(rest.find_first_not_of(" ,"), rest.size()));
        if (rest.empty() || rest.front() == ')') break;
        idx_t extent = -1;
        const auto [next, problem] =
            std::from_chars(rest.data(), rest.data() + rest.size(), extent);
        require(problem == std::errc{} && extent >= 0, path,
                ": its header has a bad shape");
        shape.push_back(extent);
        rest.remove_prefix(next - rest.data());
    }
    require(shape.size() == 1 || shape.size() == 2, path, ": has ",
            shape.size(), " dimensions; give an array of one or two");
    return shape;
}

}  // namespace

ArrayFile open_npy(std::shared_ptr<const MappedFile> file) {
    const std::string& path = file->path();
    const Header header = find_header(*file);
    const std::string_view order = value_of(header.text, "'fortran_order'");
    require(!order.starts_with("True"), path,
            ": is in Fortran order; save numpy.ascontiguousarray of it");
    require(order.starts_with("False"), path,
            ": its header has no fortran_order");
    const ElementType type = element_type(path, header.text);
    const std::vector<idx_t> shape = shape_of(path, header.text);
    const idx_t rows = shape[0];
    const idx_t d = shape.size() == 2 ? shape[1] : 1;
    require(d >= 1 && d <= std::numeric_limits<int>::max() / 8, path,
            ": its rows have ", d, " elements, which is no usable dimension");
    const size_t stride = d * size_of(type);
    const size_t held = file->bytes().size() - header.data;
    // Divided, not multiplied: a hostile shape must not overflow.
    require(static_cast<size_t>(rows) == held / stride && held % stride == 0,
            path, ": its header says ", rows, " x ", d, " ", name_of(type),
            " but ", held, " bytes follow; it is truncated or damaged");
    return {std::move(file), type,   rows, static_cast<int>(d),
            header.data,     stride, false};
}

void write_npy_header(OutputFile& out, ElementType type, idx_t rows, idx_t d) {
    const auto* descr =
        std::find_if(std::begin(descrs), std::end(descrs),
                     [&](const Descr& known) { return known.type == type; });
    std::string header = "{'descr': " + std::string(descr->text) +
                         ", 'fortran_order': False, 'shape': (" +
                         std::to_string(rows) + ", " + std::to_string(d) +
                         "), }";
    // The elements begin at a multiple of 64 bytes, as NumPy has it.
    constexpr size_t prefix = 10;
    header.resize((prefix + header.size() + 64) / 64 * 64 - prefix, ' ');
    header.back() = '\n';
    const std::string start{magic};
    const char fields[] = {1, 0, static_cast<char>(header.size() & 0xff),
                           static_cast<char>(header.size() >> 8)};
    out.write(start.data(), start.size());
    out.write(fields, sizeof fields);
    out.write(header.data(), header.size());
}

}  // namespace faiss_qbnorm
