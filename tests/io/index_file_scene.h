#pragma once

#include <gtest/gtest.h>

#include <limits>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/io/index_file.h"
#include "tests/io/forge.h"
#include "tests/temporary_folder.h"

/// Where the fields of an index file stand, and a fixture that writes and reads
/// such files.

namespace index_files {

using namespace faiss_qbnorm;
using forge::Change;
using forge::hash;
using forge::number;
using forge::put;

inline constexpr float infinity = std::numeric_limits<float>::infinity();
inline constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
inline constexpr idx_t huge = std::numeric_limits<idx_t>::max();

// Where the fields of the header stand.
enum At : size_t {
    magic = 0,
    version = 8,
    d = 12,
    file_size = 16,
    checksum = 24,
    metric = 32,
    id_map = 36,
    ntotal = 40,
    method = 48,
    beta = 52,
    activation_k = 56,
    k_factor = 64,
    beta2 = 68,
    min_candidates = 72,
    parts = 80,
    neighbours = 200,
    alpha = 208,
    iterations = 212,
    rest = 216,
    head_size = 256,
};
// In a part's 24 bytes.
enum In : size_t { offset = 0, size = 8, sum = 16 };
enum Part : size_t { ids = 0, table = 1, bank = 2, gallerybank = 3, base = 4 };
inline constexpr size_t part_count = 5;

constexpr size_t part(size_t i, In field) {
    return At::parts + 24 * i + field;
}

// A forger's work: makes the header's checksum right.
inline void fix_head(std::string& file) {
    put<std::uint64_t>(file, At::checksum, 0);
    put(file, At::checksum, hash(file, 0, At::head_size));
}

// The same for every part of an undamaged layout.
inline void fix_all(std::string& file) {
    for (size_t i = 0; i < part_count; i++) {
        put(file, part(i, In::sum),
            hash(file, number(file, part(i, In::offset), 8),
                 number(file, part(i, In::size), 8)));
    }
    fix_head(file);
}

inline NormTable make_table(idx_t size) {
    BankColumn column;
    column.bank_size = 3;
    column.offsets = std::vector<float>(size, 0.5F);
    column.activation = ActivationSet(size, {});
    column.lists = {1, std::vector<idx_t>(3, -1),
                    std::vector<float>(3, -infinity)};
    return {7, Metric::inner_product, size, 0, size, 42, {column}};
}

inline std::string text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <class T>
std::string text_of(std::span<const T> values) {
    return text_of(std::as_bytes(values));
}

class IndexFileTest : public testing::Test {
  protected:
    void write(const IndexInfo& info, const IndexParts& given) const {
        write_index_file(path_, info, given, [&](const Sink& sink) {
            sink(std::as_bytes(std::span(base_).first(4)));
            sink(std::as_bytes(std::span(base_).subspan(4)));
        });
    }

    std::string good() const {
        write(info_, parts_);
        return read_file(path_);
    }

    void expect_unreadable(const std::string& file, Verify verify,
                           const std::string& why = "") const {
        write_file(path_, file);
        try {
            read_index_file(path_, verify);
            ADD_FAILURE() << "nothing was thrown";
        } catch (const Error& problem) {
            const std::string what = problem.what();
            EXPECT_TRUE(what.starts_with(path_ + ": ")) << what;
            EXPECT_NE(what.find(why), std::string::npos) << what;
        }
    }

    void expect_unreadable(const std::string& file,
                           const std::string& why = "") const {
        expect_unreadable(file, Verify::small, why);
        expect_unreadable(file, Verify::all, why);
    }

    const std::string base_ = "FAISS's own bytes";
    const std::vector<idx_t> ids_{10, 7, -3, huge, 7};
    const std::vector<float> bank_{1, 2, 3, 4, 5, 6};  // 3 x 2
    const std::vector<float> gallerybank_{7, 8, 9, 10};
    const NormTable table_ = make_table(5);
    const IndexInfo info_{2,
                          Metric::inner_product,
                          5,
                          IdMap::two_way,
                          {Method::is, 12.5F, 3},
                          2.5F,
                          33};
    const IndexParts parts_{
        ids_, &table_, {bank_.data(), 3, 2}, {gallerybank_.data(), 2, 2}};
    // ids at 256, to 296; table at 320, of a head of 320 bytes, to 844; bank
    // at 896, to 920; gallerybank at 960, to 976; base at 1024, to 1041.
    static constexpr size_t table_at_ = 320;
    static constexpr size_t table_end_ = 320 + 320 + 3 * 64 + 12;
    static constexpr size_t bank_at_ = 896;
    static constexpr size_t gallerybank_at_ = 960;
    static constexpr size_t base_at_ = 1024;

    TemporaryFolder folder_;
    std::string path_ = folder_ / "a.qbindex";
};

}  // namespace index_files
