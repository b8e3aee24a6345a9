// Oracle: the layout that table_file.h documents, spelled out here byte by
// byte with XXH3 from xxhash's own header; golden_v1.qbn, which a script that
// shares no code with the library put together from it.

#include "faiss_qbnorm/io/table_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <limits>

#include "faiss_qbnorm/core/error.h"
#include "tests/io/forge.h"
#include "tests/temporary_folder.h"

namespace faiss_qbnorm {
namespace {

using forge::hash;
using forge::number;
using forge::put;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr idx_t huge = std::numeric_limits<idx_t>::max();

// ---- tables ----

BankColumn make_column(idx_t begin, idx_t size, bool lists) {
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

NormTable make_table(idx_t begin, idx_t size, bool lists) {
    return {16,
            Metric::inner_product,
            begin + size,
            begin,
            begin + size,
            0x0123456789abcdef,
            {make_column(begin, size, lists)}};
}

// Rows [2, 7) of 10 under two banks: what golden_v1.qbn holds.
NormTable golden_table() {
    NormTable table{8, Metric::l2, 10, 2, 7, 0x0123456789abcdef, {}};
    table.columns.push_back(
        {Bank::querybank,
         {Method::dis, 20, 1},
         2,
         0xfedcba9876543210,
         std::vector<float>{-1.5F, 0, 0.25F, 1e-30F, 3e30F},
         ActivationSet(std::vector<std::uint64_t>{0b10001}),
         {2, std::vector<idx_t>{6, 2, 2, -1},
          std::vector<float>{-0.5F, -0.75F, -0.125F, -infinity}}});
    table.columns.push_back({Bank::gallerybank,
                             {Method::is, 0.5F, 3},
                             1000,
                             42,
                             std::vector<float>{1, 2, 3, 4, 5},
                             ActivationSet(std::vector<std::uint64_t>{0}),
                             {}});
    return table;
}

template <class T>
std::vector<T> values_of(const SharedArray<T>& array) {
    return {array.begin(), array.end()};
}

void expect_equal(const NormTable& a, const NormTable& b) {
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
    activation_k = 128,
    bank_size = 136,
    list_length = 144,
    bank_fingerprint = 152,
    first_section = 160,
};
// In a section's 32 bytes.
enum In : size_t { kind = 0, column = 4, offset = 8, size = 16, sum = 24 };

constexpr size_t section(size_t i, In field) {
    return At::first_section + 32 * i + field;
}

// A forger's work: makes the checksum of a head of `size` bytes right.
void fix_head(std::string& file, size_t size) {
    put<std::uint64_t>(file, At::checksum, 0);
    put<std::uint64_t>(file, At::checksum, hash(file, 0, size));
}

// The same for every section and the head of an undamaged layout.
void fix_all(std::string& file) {
    for (size_t i = 0; i < number(file, At::sections, 4); i++) {
        put(file, section(i, In::sum),
            hash(file, number(file, section(i, In::offset), 8),
                 number(file, section(i, In::size), 8)));
    }
    fix_head(file, number(file, At::head_size, 8));
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

// ---- writing and reading ----

TEST_F(TableFileTest, ReadsWhatWasWritten) {
    for (const idx_t size : {0, 1, 63, 64, 65, 1000}) {
        for (const idx_t begin : {0, 17}) {
            for (const bool lists : {false, true}) {
                NormTable table = make_table(begin, size, lists);
                table.gallery_size += begin;  // rows follow, or none
                write_table(table, path_);
                verify_table(path_);
                expect_equal(read_table(path_), table);
                // A second column, of the other kind.
                table.columns.push_back(make_column(begin, size, !lists));
                table.columns[1].bank = Bank::gallerybank;
                table.columns[1].normalization = {Method::none, 1e4F,
                                                  max_activation_k};
                write_table(table, path_);
                verify_table(path_);
                expect_equal(read_table(path_), table);
            }
        }
    }
}

TEST_F(TableFileTest, KeepsHoles) {
    for (const idx_t holes : {0, 1, 4, 5}) {  // none to all rows
        small_.holes = holes;
        const std::string file = bytes_of(small_);
        EXPECT_EQ(number(file, At::holes, 8), static_cast<size_t>(holes));
        expect_equal(read_table(path_), small_);
        verify_table(path_);
    }
    for (const idx_t holes : {-1, 6}) {
        small_.holes = holes;
        EXPECT_THROW_SAYING(write_table(small_, path_), Error,
                            "arrays are not of its size");
    }
}

TEST_F(TableFileTest, WritesTheSameBytesTwice) {
    const std::string once = bytes_of(golden_table());
    EXPECT_EQ(bytes_of(golden_table()), once);
    EXPECT_EQ(bytes_of(read_table(path_)), once);
    EXPECT_EQ(folder_.count(), 1);
}

TEST_F(TableFileTest, MayBeReplacedWhileItIsRead) {
    write_table(small_, path_);
    const NormTable table = read_table(path_);
    write_table(golden_table(), path_);
    expect_equal(table, small_);
    expect_equal(read_table(path_), golden_table());
}

TEST_F(TableFileTest, StandsAsDocumented) {
    const std::string file = bytes_of(small_);
    ASSERT_EQ(file.size(), 536U);
    EXPECT_EQ(file.substr(At::magic, 8), "QBNORM\r\n");
    EXPECT_EQ(number(file, At::version, 4), 1U);
    EXPECT_EQ(number(file, At::columns, 4), 1U);
    EXPECT_EQ(number(file, At::sections, 4), 4U);
    EXPECT_EQ(number(file, At::head_size, 8), small_head_);
    EXPECT_EQ(number(file, At::file_size, 8), file.size());
    EXPECT_EQ(number(file, At::d, 4), 16U);
    EXPECT_EQ(number(file, At::metric, 4), 0U);
    EXPECT_EQ(number(file, At::gallery_size, 8), 7U);
    EXPECT_EQ(number(file, At::begin, 8), 2U);
    EXPECT_EQ(number(file, At::end, 8), 7U);
    EXPECT_EQ(number(file, At::table_fingerprint, 8), 0x0123456789abcdef);
    EXPECT_EQ(number(file, At::bank, 4), 0U);
    EXPECT_EQ(number(file, At::method, 4), 2U);
    EXPECT_EQ(number(file, At::beta, 4), 0x41480000U);  // 12.5
    EXPECT_EQ(number(file, At::activation_k, 8), 2U);
    EXPECT_EQ(number(file, At::bank_size, 8), 3U);
    EXPECT_EQ(number(file, At::list_length, 8), 2U);
    EXPECT_EQ(number(file, At::bank_fingerprint, 8), 0xfedcba9876543210);
    const size_t offsets[] = {320, 384, 448, 512};
    const size_t sizes[] = {5 * 4, 8, 6 * 8, 6 * 4};
    for (size_t i = 0; i < 4; i++) {
        EXPECT_EQ(number(file, section(i, In::kind), 4), i);
        EXPECT_EQ(number(file, section(i, In::column), 4), 0U);
        EXPECT_EQ(number(file, section(i, In::offset), 8), offsets[i]);
        EXPECT_EQ(number(file, section(i, In::size), 8), sizes[i]);
        EXPECT_EQ(number(file, section(i, In::sum), 8),
                  hash(file, offsets[i], sizes[i]));
    }
    EXPECT_EQ(number(file, 320, 4), 0xbf800000U);      // -1
    EXPECT_EQ(number(file, 320 + 8, 4), 0xbf000000U);  // -0.5
    EXPECT_EQ(number(file, 384, 8), 0b11001U);         // 0, 3, 4
    EXPECT_EQ(number(file, 448, 8), 2U);
    EXPECT_EQ(number(file, 448 + 32, 8), 6U);
    EXPECT_EQ(number(file, 448 + 40, 8), ~std::uint64_t{0});  // -1: padding
    EXPECT_EQ(number(file, 512 + 4, 4), 0xbf000000U);
    std::string head = file.substr(0, small_head_);
    put<std::uint64_t>(head, At::checksum, 0);
    EXPECT_EQ(number(file, At::checksum, 8), hash(head, 0, small_head_));
    // Everything else is 0.
    const size_t gaps[][2] = {{20, 24},   {48, 64},   {104, 112}, {124, 128},
                              {288, 320}, {340, 384}, {392, 448}, {496, 512}};
    for (const auto& [from, to] : gaps) {
        EXPECT_EQ(file.substr(from, to - from), std::string(to - from, '\0'));
    }
}

TEST_F(TableFileTest, ReadsAndWritesTheGoldenFile) {
    const std::string golden =
        std::string(QBNORM_SOURCE_DIR) + "/tests/io/golden_v1.qbn";
    verify_table(golden);
    expect_equal(read_table(golden), golden_table());
    EXPECT_EQ(bytes_of(golden_table()), read_file(golden));
}

TEST_F(TableFileTest, KnowsATable) {
    const std::string file = bytes_of(small_);
    EXPECT_TRUE(is_table(path_));
    for (const std::string& other :
         {std::string(), file.substr(0, 7), std::string("QBNORM\n\n")}) {
        write_file(path_, other);
        EXPECT_FALSE(is_table(path_));
    }
    EXPECT_THROW_SAYING(is_table(folder_ / "none"), Error, "cannot open");
    EXPECT_THROW_SAYING(is_table(folder_ / ""), Error, "not a regular file");
    const std::string pipe = folder_ / "pipe";  // which nobody writes to
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    EXPECT_THROW_SAYING(is_table(pipe), Error, "not a regular file");
}

// ---- accidents ----

TEST_F(TableFileTest, SaysWhatIsWrong) {
    EXPECT_THROW_SAYING(read_table(path_), Error, path_ + ": cannot open");
    const std::string good = bytes_of(small_);
    expect_unreadable("", "truncated in its header");
    expect_unreadable(std::string(64, 'x'), "is not a .qbn table");
    expect_unreadable(good.substr(0, 500), "has 500 bytes");
    std::string file = good;
    put(file, At::version, 2U);
    expect_unreadable(file, "version 2 but this program reads version 1");
    file = good;
    put(file, At::d, 17U);
    expect_unreadable(file, "header is damaged (wrong checksum)");
    file = good;
    put(file, 320, 5.0F);
    expect_unsound(file, "section 0 of column 0 is damaged (wrong checksum)");
    EXPECT_THROW_SAYING(write_table(small_, folder_ / "none/a.qbn"), Error,
                        "none/a.qbn: cannot create");
}

TEST_F(TableFileTest, RejectsEveryOtherLength) {
    const std::string good = bytes_of(small_);
    for (size_t size = 0; size < good.size(); size++) {
        SCOPED_TRACE(size);
        expect_unreadable(good.substr(0, size));
    }
    expect_unreadable(good + '\0');
    expect_unreadable(good + good);
}

TEST_F(TableFileTest, FindsEveryChangedByte) {
    const std::string good = bytes_of(small_);
    const auto is_padding = [](size_t i) {
        return (i >= 340 && i < 384) || (i >= 392 && i < 448) ||
               (i >= 496 && i < 512);
    };
    for (size_t i = 0; i < good.size(); i++) {
        for (const int flip : {0x01, 0x20, 0x80, 0xff}) {
            SCOPED_TRACE("byte " + std::to_string(i));
            std::string file = good;
            file[i] = static_cast<char>(file[i] ^ flip);
            if (i < small_head_) {
                expect_unreadable(file);
            } else if (is_padding(i)) {
                expect_equal(read(file), small_);
                EXPECT_NO_THROW(verify_table(path_));
            } else {
                expect_unsound(file, "wrong checksum");
            }
        }
    }
}

// ---- malice: the checksums are right ----

struct Change {
    size_t at;
    std::string bytes;

    template <class T>
    Change(size_t at, T value)
        : at(at), bytes(reinterpret_cast<const char*>(&value), sizeof value) {}
};

std::string forge(std::string file, const std::vector<Change>& changes,
                  size_t head) {
    for (const Change& change : changes) {
        file.replace(change.at, change.bytes.size(), change.bytes);
    }
    fix_head(file, head);
    return file;
}

TEST_F(TableFileTest, ReadsWhatAForgerLeftRight) {
    const std::string good = bytes_of(small_);
    EXPECT_EQ(forge(good, {}, small_head_), good);
    small_.d = 1 << 30;
    small_.metric = Metric::l2;
    small_.gallery_size = huge;
    small_.fingerprint = 1;
    small_.columns[0].bank = Bank::gallerybank;
    small_.columns[0].normalization = {Method::is, 1e4F, max_activation_k};
    expect_equal(read(forge(good,
                            {{At::d, 1U << 30},
                             {At::metric, 1U},
                             {At::gallery_size, huge},
                             {At::table_fingerprint, idx_t{1}},
                             {At::bank, 1U},
                             {At::method, 1U},
                             {At::beta, 1e4F},
                             {At::activation_k, max_activation_k}},
                            small_head_)),
                 small_);
    EXPECT_NO_THROW(verify_table(path_));
}

TEST_F(TableFileTest, RejectsForgedHeads) {
    const std::string good = bytes_of(small_);
    constexpr std::uint32_t many = 0xffffffff;
    constexpr std::uint64_t top = std::uint64_t{1} << 63;
    const std::vector<std::vector<Change>> forgeries{
        {{At::magic + 6, '\n'}},
        {{At::version, 0U}},
        {{At::version, 2U}},
        {{At::columns, 0U}},
        {{At::columns, 2U}},
        {{At::columns, 1025U}},
        {{At::columns, many}},
        {{At::columns, 1U << 30}, {At::sections, many}},
        {{At::sections, 0U}},
        {{At::sections, 3U}},
        {{At::sections, 5U}},
        {{At::sections, many}},
        {{At::head_size, idx_t{0}}},
        {{At::head_size, idx_t{256}}},
        {{At::head_size, idx_t{384}}},
        {{At::head_size, top}},
        {{At::file_size, idx_t{0}}},
        {{At::file_size, idx_t{537}}},
        {{At::d, 0U}},
        {{At::d, (1U << 30) + 1}},
        {{At::d, many}},
        {{At::metric, 2U}},
        {{At::metric, many}},
        {{At::begin, idx_t{-1}}},
        {{At::begin, idx_t{1}}},
        {{At::begin, idx_t{8}}},
        {{At::begin, idx_t{-5}}, {At::end, idx_t{0}}},
        {{At::begin, -huge - 1}, {At::end, huge}, {At::gallery_size, huge}},
        {{At::end, idx_t{1}}},
        {{At::end, idx_t{6}}},
        {{At::end, idx_t{8}}},
        {{At::end, huge}},
        {{At::end, idx_t{-1}}},
        {{At::gallery_size, idx_t{6}}},
        {{At::gallery_size, idx_t{-1}}},
        {{At::holes, idx_t{-1}}},
        {{At::holes, idx_t{6}}},  // of 5 rows
        {{At::holes, huge}},
        {{At::holes, -huge - 1}},
        {{At::bank, 2U}},
        {{At::bank, many}},
        {{At::method, 3U}},
        {{At::method, many}},
        {{At::beta, nan}},
        {{At::beta, 0.0F}},
        {{At::beta, -1.0F}},
        {{At::beta, 2e4F}},
        {{At::beta, infinity}},
        {{At::activation_k, idx_t{0}}},
        {{At::activation_k, idx_t{-1}}},
        {{At::bank_size, idx_t{0}}},
        {{At::bank_size, idx_t{2}}},
        {{At::bank_size, idx_t{-3}}},
        {{At::bank_size, huge}},
        // Products that wrap to the right 6.
        {{At::bank_size, top + 3}},
        {{At::bank_size, idx_t{1676976733973595602}},
         {At::list_length, idx_t{11}}},
        {{At::bank_size, idx_t{11}},
         {At::list_length, idx_t{1676976733973595602}}},
        {{At::list_length, idx_t{0}}},
        {{At::list_length, idx_t{1}}},
        {{At::list_length, idx_t{-2}}},
        {{At::list_length, huge}},
        {{At::bank_size, idx_t{0x7fffffff}},
         {At::list_length, idx_t{0x7fffffff}}},
        // Much of everything, with sections of the size that goes with it.
        {{At::end, huge}, {At::gallery_size, huge}},
        {{At::end, (idx_t{1} << 61) + 2},
         {At::gallery_size, huge},
         {section(0, In::size), top},
         {section(1, In::size), idx_t{1} << 58}},
        // 2^62 items: their size wraps to 0 and to that of 0 items.
        {{At::end, (idx_t{1} << 62) + 2},
         {At::gallery_size, huge},
         {section(0, In::size), idx_t{0}}},
        {{At::bank_size, idx_t{1} << 30},
         {At::list_length, idx_t{1} << 30},
         {section(2, In::size), top},
         {section(3, In::size), idx_t{1} << 62}},
    };
    for (size_t i = 0; i < forgeries.size(); i++) {
        SCOPED_TRACE("forgery " + std::to_string(i));
        expect_unreadable(forge(good, forgeries[i], small_head_));
    }
}

TEST_F(TableFileTest, RejectsForgedSections) {
    const std::string good = bytes_of(small_);
    const auto reject = [&](size_t at, auto value) {
        SCOPED_TRACE("field at " + std::to_string(at) + " made " +
                     std::to_string(value));
        expect_unreadable(forge(good, {{at, value}}, small_head_));
    };
    for (size_t i = 0; i < 4; i++) {
        for (const std::uint32_t kind : {0U, 1U, 2U, 3U, 4U, 0xffffffffU}) {
            if (kind != i) reject(section(i, In::kind), kind);
        }
        for (const std::uint32_t column : {1U, 0xffffffffU}) {
            reject(section(i, In::column), column);
        }
        // Over the head, misaligned, partly and wholly past the end.
        for (const std::uint64_t offset :
             {std::uint64_t{0}, std::uint64_t{256}, std::uint64_t{324},
              std::uint64_t{352}, std::uint64_t{576}, std::uint64_t{1} << 40,
              std::uint64_t{1} << 63, ~std::uint64_t{63}}) {
            reject(section(i, In::offset), offset);
        }
        for (const std::uint64_t size :
             {std::uint64_t{0}, std::uint64_t{4}, std::uint64_t{21},
              std::uint64_t{56}, std::uint64_t{1} << 40, std::uint64_t{1} << 63,
              ~std::uint64_t{0}}) {
            reject(section(i, In::size), size);
        }
    }
    reject(section(2, In::offset), std::uint64_t{512});  // 24 of 48 bytes
}

TEST_F(TableFileTest, RejectsMissingAndSuperfluousSections) {
    // Two sections: a head of 224 bytes, padded to 256, has room for a third.
    const std::string good = bytes_of(make_table(2, 5, false));
    EXPECT_EQ(number(good, At::head_size, 8), 256U);
    const auto third = [&](std::uint32_t kind, std::uint32_t column,
                           std::uint64_t offset, std::uint64_t size) {
        return forge(good,
                     {{At::sections, 3U},
                      {section(2, In::kind), kind},
                      {section(2, In::column), column},
                      {section(2, In::offset), offset},
                      {section(2, In::size), size}},
                     256);
    };
    expect_unreadable(third(0, 0, 256, 20));       // the offsets again
    expect_unreadable(third(2, 0, 320, 8));        // lists of no length
    expect_unreadable(third(0, 1, 256, 20));       // of no column
    expect_unreadable(third(9, 0, 256, 20));       // of no kind
    expect_unreadable(third(9, 0, 1 << 30, 512));  // out of the file
    expect_unreadable(forge(good, {{At::list_length, idx_t{-1}}}, 256));
    expect_unreadable(forge(good, {{At::list_length, idx_t{1}}}, 256));
    expect_unreadable(
        forge(good, {{At::sections, 1U}, {At::head_size, idx_t{192}}}, 192));
    expect_unreadable(
        forge(good, {{At::sections, 0U}, {At::head_size, idx_t{192}}}, 192));
}

TEST_F(TableFileTest, VerifiesTheContent) {
    const std::string good = bytes_of(small_);
    const auto with = [&](size_t at, auto value) {
        std::string file = good;
        put(file, at, value);
        fix_all(file);
        return file;
    };
    for (const float bad : {nan, infinity, -infinity}) {
        expect_unsound(with(320 + 4, bad), "an offset is NaN or Inf");
    }
    expect_unsound(with(384, idx_t{1} << 5), "activation set is longer");
    expect_unsound(with(384, -huge - 1), "activation set is longer");
    for (const idx_t bad : {idx_t{-2}, idx_t{0}, idx_t{1}, idx_t{7}, huge}) {
        expect_unsound(with(448 + 8, bad), "holds label");
    }
    expect_unsound(with(512 + 8, nan), "score");
    // The same places take what is right.
    for (const idx_t right : {-1, 2, 6}) {
        write_file(path_, with(448 + 8, right));
        EXPECT_NO_THROW(verify_table(path_));
        EXPECT_EQ(read_table(path_).columns[0].lists.labels[1], right);
    }
    write_file(path_, with(384, idx_t{31}));
    EXPECT_NO_THROW(verify_table(path_));
    EXPECT_EQ(read_table(path_).columns[0].activation.count(), 5);
}

}  // namespace
}  // namespace faiss_qbnorm
