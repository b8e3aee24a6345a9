#include "faiss_qbnorm/io/index_file.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/io/table_file.h"

namespace faiss_qbnorm {

namespace {

using Bytes = std::span<const std::byte>;

// No fourcc of FAISS; the line ends show a file that was copied as text.
constexpr char file_magic[8] = {'Q', 'B', 'I', 'N', 'D', 'X', '\r', '\n'};
constexpr std::uint32_t file_version = 2;
constexpr size_t alignment = 64;

enum Part : size_t {
    ids = 0,
    table = 1,
    bank = 2,
    gallerybank = 3,
    base = 4,
};
constexpr size_t part_count = 5;

struct PartInfo {
    std::uint64_t offset;
    std::uint64_t size;
    std::uint64_t checksum;
};

struct Header {
    char magic[8];
    std::uint32_t version;
    std::uint32_t d;
    std::uint64_t file_size;
    std::uint64_t checksum;  ///< of the header with this field 0
    std::uint32_t metric;
    std::uint32_t id_map;
    std::int64_t ntotal;
    std::uint32_t method;
    float beta;
    std::int64_t activation_k;
    float k_factor;
    float beta2;
    std::int64_t min_candidates;
    PartInfo parts[part_count];
    std::int64_t neighbours;
    float alpha;
    std::int32_t iterations;
    std::uint64_t reserved[5];
};
static_assert(sizeof(Header) == 256 && sizeof(Header) % alignment == 0);

std::uint64_t checksum(Bytes bytes) {
    return XXH3_64bits(bytes.data(), bytes.size());
}

std::uint64_t checksum(const Header& header) {
    Header copy = header;
    copy.checksum = 0;
    return checksum(std::as_bytes(std::span(&copy, 1)));
}

std::uint64_t aligned(std::uint64_t offset) {
    return (offset + alignment - 1) / alignment * alignment;
}

void check_settings(const IndexInfo& info) {
    check(info.normalization);
    require(std::isfinite(info.k_factor) && info.k_factor >= 1, "k_factor is ",
            info.k_factor, " but must be at least 1");
}

// ---- writing ----

class Writer {
  public:
    explicit Writer(const std::string& path) : out_(path) {
        put(std::as_bytes(std::span(&header_, 1)));
    }

    template <class Write>
    void part(Part part, Write write) {
        const std::vector<std::byte> gap(aligned(size_) - size_);
        put(gap);
        XXH3_state_t state;
        XXH3_64bits_reset(&state);
        const size_t begin = size_;
        write([&](Bytes bytes) {
            XXH3_64bits_update(&state, bytes.data(), bytes.size());
            put(bytes);
        });
        header_.parts[part] = {begin, size_ - begin,
                               XXH3_64bits_digest(&state)};
    }

    // The sizes are known now.
    void commit(const IndexInfo& info) {
        std::copy(std::begin(file_magic), std::end(file_magic), header_.magic);
        header_.version = file_version;
        header_.d = static_cast<std::uint32_t>(info.d);
        header_.file_size = size_;
        header_.metric = static_cast<std::uint32_t>(info.metric);
        header_.id_map = static_cast<std::uint32_t>(info.id_map);
        header_.ntotal = info.ntotal;
        header_.method = static_cast<std::uint32_t>(info.normalization.method);
        header_.beta = info.normalization.beta;
        header_.activation_k = info.normalization.activation_k;
        header_.beta2 = info.normalization.beta2;
        header_.neighbours = info.normalization.neighbours;
        header_.alpha = info.normalization.alpha;
        header_.iterations = info.normalization.iterations;
        header_.k_factor = info.k_factor;
        header_.min_candidates = info.min_candidates;
        header_.checksum = checksum(header_);
        out_.rewrite(0, std::as_bytes(std::span(&header_, 1)));
        out_.commit();
    }

  private:
    void put(Bytes bytes) {
        out_.write(bytes);
        size_ += bytes.size();
    }

    OutputFile out_;
    size_t size_ = 0;
    Header header_{};
};

// ---- reading ----

Header read_header(const MappedFile& file) {
    const std::string& path = file.path();
    const Bytes bytes = file.bytes();
    Header header;
    require(bytes.size() >= sizeof header, path,
            ": is truncated in its header; write it again");
    std::memcpy(&header, bytes.data(), sizeof header);
    require(
        std::equal(std::begin(file_magic), std::end(file_magic), header.magic),
        path, ": is not the file of a QBNorm index");
    require(header.version == file_version, path,
            ": is a QBNorm index of version ", header.version,
            " but this program reads version ", file_version,
            "; make it again with qbnorm attach");
    require(header.file_size == bytes.size(), path, ": has ", bytes.size(),
            " bytes but its header says ", header.file_size,
            "; it is truncated or damaged");
    require(header.checksum == checksum(header), path,
            ": its header is damaged (wrong checksum)");
    return header;
}

// Every part begins where the one before it ends.
void check_layout(const MappedFile& file, const Header& header) {
    const Bytes bytes = file.bytes();
    std::uint64_t end = sizeof header;
    for (const PartInfo& part : header.parts) {
        const std::uint64_t begin = aligned(end);
        require(part.offset == begin && begin <= bytes.size() &&
                    part.size <= bytes.size() - begin,
                file.path(), ": a part is not where it must be");
        const Bytes gap = bytes.subspan(end, begin - end);
        require(std::all_of(gap.begin(), gap.end(),
                            [](std::byte b) { return b == std::byte{0}; }),
                file.path(), ": is damaged between its parts");
        end = begin + part.size;
    }
    require(end == bytes.size() && header.parts[base].size > 0, file.path(),
            ": the base index is not where it must be");
}

IndexInfo info_of(const MappedFile& file, const Header& header) {
    require(header.d >= 1 && header.d <= (1U << 30) &&
                header.metric <= static_cast<std::uint32_t>(Metric::l2) &&
                header.id_map <= static_cast<std::uint32_t>(IdMap::two_way) &&
                header.ntotal >= 0,
            file.path(), ": its d, metric, ID map or ntotal is damaged");
    Normalization normalization(static_cast<Method>(header.method), header.beta,
                                header.activation_k);
    normalization.beta2 = header.beta2;
    normalization.neighbours = header.neighbours;
    normalization.alpha = header.alpha;
    normalization.iterations = header.iterations;
    const IndexInfo info{static_cast<int>(header.d),
                         static_cast<Metric>(header.metric),
                         header.ntotal,
                         static_cast<IdMap>(header.id_map),
                         normalization,
                         header.k_factor,
                         header.min_candidates};
    try {
        check_settings(info);
    } catch (const Error& problem) {
        fail(file.path(), ": ", problem.what());
    }
    return info;
}

Bytes bytes_of(const IndexFile& file, const PartInfo& part) {
    return file.file->bytes().subspan(part.offset, part.size);
}

void check_part(const IndexFile& file, const Header& header, Part part,
                const char* name) {
    require(checksum(bytes_of(file, header.parts[part])) ==
                header.parts[part].checksum,
            file.file->path(), ": its ", name, " is damaged (wrong checksum)");
}

void read_ids(IndexFile& file, const Header& header) {
    check_part(file, header, ids, "list of ids");
    const Bytes bytes = bytes_of(file, header.parts[ids]);
    const auto count = static_cast<std::uint64_t>(
        file.info.id_map == IdMap::none ? 0 : file.info.ntotal);
    require(bytes.size() % sizeof(idx_t) == 0 &&
                bytes.size() / sizeof(idx_t) == count,
            file.file->path(), ": its list of ids has the wrong size");
    file.ids = {reinterpret_cast<const idx_t*>(bytes.data()), count};
}

MatrixView read_bank(const IndexFile& file, const Header& header, Part part,
                     const char* name) {
    check_part(file, header, part, name);
    const Bytes bytes = bytes_of(file, header.parts[part]);
    const std::uint64_t row = sizeof(float) * std::uint64_t{header.d};
    require(bytes.size() % row == 0, file.file->path(), ": its ", name,
            " has the wrong size");
    const MatrixView result{reinterpret_cast<const float*>(bytes.data()),
                            static_cast<idx_t>(bytes.size() / row),
                            file.info.d};
    check_finite(result, file.file->path() + ": its " + name);
    return result;
}

bool is_of_banks(const NormTable& table, const IndexFile& file) {
    for (const BankColumn& column : table.columns) {
        const idx_t rows = column.bank == Bank::querybank
                               ? file.bank.rows
                               : file.gallerybank.rows;
        if (rows > 0 && column.bank_size != rows) return false;
    }
    return !table.columns.empty();
}

void read_table(IndexFile& file, const Header& header, Verify verify) {
    const PartInfo& where = header.parts[table];
    if (verify == Verify::all) check_part(file, header, table, "table");
    if (where.size == 0) return;
    const auto part = MappedFile::part(file.file, where.offset, where.size);
    if (verify == Verify::all) verify_table(part);
    file.table = faiss_qbnorm::read_table(part);
    const bool belongs = file.table->is_whole() &&
                         file.table->items() == file.info.ntotal &&
                         file.table->metric == file.info.metric &&
                         is_of_banks(*file.table, file);
    require(belongs, file.file->path(), ": its table is not of its index");
}

}  // namespace

void write_index_file(const std::string& path, const IndexInfo& info,
                      const IndexParts& parts,
                      const std::function<void(const Sink&)>& write_base) {
    try {
        check_settings(info);
    } catch (const Error& problem) {
        fail(path, ": cannot write: ", problem.what());
    }
    Writer writer(path);
    writer.part(ids, [&](const Sink& sink) { sink(std::as_bytes(parts.ids)); });
    writer.part(table, [&](const Sink& sink) {
        if (parts.table) write_table(*parts.table, sink);
    });
    const auto write_bank = [&](Part part, const MatrixView& rows) {
        writer.part(part, [&](const Sink& sink) {
            const auto count = static_cast<size_t>(rows.rows * rows.d);
            sink(std::as_bytes(std::span(rows.data, count)));
        });
    };
    write_bank(bank, parts.bank);
    write_bank(gallerybank, parts.gallerybank);
    writer.part(base, write_base);
    writer.commit(info);
}

std::span<const std::byte> IndexFile::header() const {
    return file->bytes().first(sizeof(Header));
}

IndexFile read_index_file(const std::string& path, Verify verify) {
    IndexFile result;
    result.file = MappedFile::open(path);
    const Header header = read_header(*result.file);
    check_layout(*result.file, header);
    result.info = info_of(*result.file, header);
    read_ids(result, header);
    result.bank = read_bank(result, header, bank, "querybank");
    result.gallerybank = read_bank(result, header, gallerybank, "gallerybank");
    read_table(result, header, verify);
    if (verify == Verify::all) check_part(result, header, base, "base index");
    result.base = bytes_of(result, header.parts[base]);
    return result;
}

bool is_index_file(const std::string& path) {
    const auto file = MappedFile::open(path);
    return file->bytes().size() >= sizeof file_magic &&
           std::memcmp(file->bytes().data(), file_magic, sizeof file_magic) ==
               0;
}

}  // namespace faiss_qbnorm
