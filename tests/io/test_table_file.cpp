// Oracle: the layout that table_file.h documents, spelled out here byte by
// byte with XXH3 from xxhash's own header; golden_*.qbn, which scripts that
// share no code with the library put together from it.

#include <sys/stat.h>

#include "tests/io/table_files.h"

namespace {

using namespace table_files;

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
    // A gallerybank's beta is beta2 by now.
    table.columns[1].normalization.beta2 = 0.5F;
    return table;
}

// The same rows, less one, fitted for dualis: golden_v2.qbn.
NormTable golden_pair() {
    NormTable table = golden_table();
    table.holes = 1;
    for (BankColumn& column : table.columns) {
        column.normalization = Method::dualis;
    }
    table.columns[1].activation =
        ActivationSet(std::vector<std::uint64_t>{0b100});
    return table;
}

// golden_v2_dbsn.qbn: no hyperparameter is its default.
NormTable golden_weights() {
    BankColumn column;
    Normalization& normalization = column.normalization;
    normalization = {Method::dbsn, 100, 5};
    normalization.beta2 = 2.5F;
    normalization.neighbours = 77;
    normalization.alpha = 0.5F;
    normalization.iterations = 33;
    column.bank_size = 3;
    column.bank_fingerprint = 0xfedcba9876543210;
    column.offsets = std::vector<float>{-1.5F, 0, 0.25F, 8};
    column.log_weights = std::vector<float>{0.5F, -0.25F, -2};
    return {3, Metric::inner_product, 4, 0, 4, 77, {column}};
}

std::string golden(const char* name) {
    return std::string(QBNORM_SOURCE_DIR) + "/tests/io/" + name;
}

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
    EXPECT_EQ(number(file, At::version, 4), 2U);
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
    EXPECT_EQ(number(file, At::beta2, 4), 0x40400000U);  // 3
    EXPECT_EQ(number(file, At::neighbours, 8), 10U);
    EXPECT_EQ(number(file, At::alpha, 4), 0x3f400000U);  // 0.75
    EXPECT_EQ(number(file, At::iterations, 4), 10U);
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
    const size_t gaps[][2] = {{20, 24},   {48, 64},   {104, 112}, {304, 320},
                              {340, 384}, {392, 448}, {496, 512}};
    for (const auto& [from, to] : gaps) {
        EXPECT_EQ(file.substr(from, to - from), std::string(to - from, '\0'));
    }
}

TEST_F(TableFileTest, ReadsTheGoldenFiles) {
    const std::pair<const char*, NormTable> files[] = {
        {"golden_v1.qbn", golden_table()},
        {"golden_v2.qbn", golden_pair()},
        {"golden_v2_dbsn.qbn", golden_weights()},
    };
    for (const auto& [name, table] : files) {
        SCOPED_TRACE(name);
        verify_table(golden(name));
        expect_equal(read_table(golden(name)), table);
    }
    EXPECT_EQ(read_table(golden("golden_v1.qbn")).columns[1].beta(), 0.5F);
}

TEST_F(TableFileTest, WritesTheGoldenFiles) {
    EXPECT_EQ(bytes_of(golden_pair()), read_file(golden("golden_v2.qbn")));
    EXPECT_EQ(bytes_of(golden_weights()),
              read_file(golden("golden_v2_dbsn.qbn")));
}

// What was written before stays readable and becomes version 2.
TEST_F(TableFileTest, RewritesVersion1) {
    const std::string file = bytes_of(read_table(golden("golden_v1.qbn")));
    EXPECT_EQ(number(file, At::version, 4), 2U);
    expect_equal(read_table(path_), golden_table());
    std::string old = read_file(golden("golden_v1.qbn"));
    for (const std::uint32_t method : {3U, 8U, 9U}) {
        put(old, At::method, method);  // which version 1 did not have
        fix_head(old, number(old, At::head_size, 8));
        expect_unreadable(old, "version 1 knows no method");
    }
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
    put(file, At::version, 3U);
    expect_unreadable(file, "version 3 but this program reads versions 1 to 2");
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

}  // namespace
