#pragma once

#include <gtest/gtest.h>

#include <limits>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/io/table_file.h"
#include "tests/io/forge.h"
#include "tests/temporary_folder.h"

/// Tables, where their fields stand in a .qbn file of one column, and a fixture
/// that writes and reads such files.

namespace table_files {

using namespace faiss_qbnorm;
using forge::Change;
using forge::hash;
using forge::number;
using forge::put;

inline constexpr float infinity = std::numeric_limits<float>::infinity();
inline constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
inline constexpr idx_t huge = std::numeric_limits<idx_t>::max();

// ---- tables ----

inline BankColumn make_column(idx_t begin, idx_t size, bool lists) {
    BankColumn column;
    column.normalization = {Method::dis, 12.5F, 2};
    column.bank_size = 3;
    column.bank_fingerprint = 0xfedcba9876543210;
    std::vector<float> offsets;
    std::vector<idx_t> active;
    for (idx_t i = 0; i < size; i++) {
        offsets.push_back(0.25F * static_cast<float>(i) - 1);
        if (i % 3 == 0 || i == size - 1) active.push_back(i);
    }
    column.offsets = std::move(offsets);
    column.activation = ActivationSet(size, active);
    if (!lists) return column;
    std::vector<idx_t> labels;
    std::vector<float> scores;
    for (idx_t i = 0; i < 2 * column.bank_size; i++) {
        const bool padding = i >= size;
        labels.push_back(padding ? -1 : begin + i);
        scores.push_back(padding ? -infinity : -0.5F * static_cast<float>(i));
    }
    column.lists = {2, std::move(labels), std::move(scores)};
    return column;
}

inline NormTable make_table(idx_t begin, idx_t size, bool lists) {
    return {16,
            Metric::inner_product,
            begin + size,
            begin,
            begin + size,
            0x0123456789abcdef,
            {make_column(begin, size, lists)}};
}

// Three items under two weighted bank queries.
inline NormTable make_weighted_table() {
    BankColumn column;
    column.normalization = Method::dbsn;
    column.bank_size = 2;
    column.offsets = std::vector<float>{1, 2, 3};
    column.log_weights = std::vector<float>{0.5F, -1};
    return {4, Metric::inner_product, 3, 0, 3, 9, {column}};
}

template <class T>
std::vector<T> values_of(const SharedArray<T>& array) {
    return {array.begin(), array.end()};
}

inline void expect_equal(const NormTable& a, const NormTable& b) {
    EXPECT_EQ(a.d, b.d);
    EXPECT_EQ(a.metric, b.metric);
    EXPECT_EQ(a.gallery_size, b.gallery_size);
    EXPECT_EQ(a.begin, b.begin);
    EXPECT_EQ(a.end, b.end);
    EXPECT_EQ(a.fingerprint, b.fingerprint);
    EXPECT_EQ(a.holes, b.holes);
    ASSERT_EQ(a.columns.size(), b.columns.size());
    for (size_t i = 0; i < a.columns.size(); i++) {
        const BankColumn& x = a.columns[i];
        const BankColumn& y = b.columns[i];
        EXPECT_EQ(x.bank, y.bank);
        EXPECT_EQ(x.normalization, y.normalization);
        EXPECT_EQ(x.bank_size, y.bank_size);
        EXPECT_EQ(x.bank_fingerprint, y.bank_fingerprint);
        EXPECT_EQ(values_of(x.offsets), values_of(y.offsets));
        EXPECT_EQ(values_of(x.activation.words()),
                  values_of(y.activation.words()));
        EXPECT_EQ(x.lists.length, y.lists.length);
        EXPECT_EQ(values_of(x.lists.labels), values_of(y.lists.labels));
        EXPECT_EQ(values_of(x.lists.scores), values_of(y.lists.scores));
        EXPECT_EQ(values_of(x.log_weights), values_of(y.log_weights));
    }
}

// ---- bytes ----

// Where the fields of a file of one column stand.
enum At : size_t {
    magic = 0,
    version = 8,
    columns = 12,
    sections = 16,
    head_size = 24,
    file_size = 32,
    checksum = 40,
    d = 64,
    metric = 68,
    gallery_size = 72,
    begin = 80,
    end = 88,
    table_fingerprint = 96,
    holes = 104,
    bank = 112,
    method = 116,
    beta = 120,
    beta2 = 124,
    activation_k = 128,
    bank_size = 136,
    list_length = 144,
    bank_fingerprint = 152,
    neighbours = 160,
    alpha = 168,
    iterations = 172,
    first_section = 176,
};
// In a section's 32 bytes.
enum In : size_t { kind = 0, column = 4, offset = 8, size = 16, sum = 24 };

constexpr size_t section(size_t i, In field) {
    return At::first_section + 32 * i + field;
}

// A forger's work: makes the checksum of a head of `size` bytes right.
inline void fix_head(std::string& file, size_t size) {
    put<std::uint64_t>(file, At::checksum, 0);
    put<std::uint64_t>(file, At::checksum, hash(file, 0, size));
}

// The same for every section and the head of an undamaged layout.
inline void fix_all(std::string& file) {
    for (size_t i = 0; i < number(file, At::sections, 4); i++) {
        put(file, section(i, In::sum),
            hash(file, number(file, section(i, In::offset), 8),
                 number(file, section(i, In::size), 8)));
    }
    fix_head(file, number(file, At::head_size, 8));
}

inline std::string forged(const std::string& file,
                          const std::vector<Change>& changes, size_t head) {
    std::string result = forge::changed(file, changes);
    fix_head(result, head);
    return result;
}

class TableFileTest : public testing::Test {
  protected:
    std::string bytes_of(const NormTable& table) {
        write_table(table, path_);
        return read_file(path_);
    }

    NormTable read(const std::string& file) {
        write_file(path_, file);
        return read_table(path_);
    }

    void expect_unreadable(const std::string& file, const char* why = "") {
        write_file(path_, file);
        EXPECT_THROW_SAYING(read_table(path_), Error, path_ + ": ");
        EXPECT_THROW_SAYING(read_table(path_), Error, why);
        EXPECT_THROW_SAYING(verify_table(path_), Error, why);
    }

    // Expects that only verify_table finds the fault.
    void expect_unsound(const std::string& file, const char* why) {
        SCOPED_TRACE(why);
        write_file(path_, file);
        EXPECT_NO_THROW(read_table(path_));
        EXPECT_THROW_SAYING(verify_table(path_), Error, path_ + ": ");
        EXPECT_THROW_SAYING(verify_table(path_), Error, why);
    }

    // Rows [2, 7), with lists: a head of 320 bytes, then offsets at 320,
    // activation at 384, labels at 448, scores at 512, end at 536.
    NormTable small_ = make_table(2, 5, true);
    static constexpr size_t small_head_ = 320;

    TemporaryFolder folder_;
    std::string path_ = folder_ / "a.qbn";
};

}  // namespace table_files
