// Oracle: the layout that index_file.h documents, spelled out here byte by
// byte with XXH3 from xxhash's own header; test_table_file.cpp holds the table
// inside to its own. The base is any bytes: FAISS's are in test_index_io.cpp.

#include "faiss_qbnorm/io/index_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/io/table_file.h"
#include "tests/full_disk.h"
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
    min_candidates = 72,
    parts = 80,
    rest = 176,
    head_size = 256,
};
// In a part's 24 bytes.
enum In : size_t { offset = 0, size = 8, sum = 16 };
enum Part : size_t { ids = 0, table = 1, bank = 2, base = 3 };

constexpr size_t part(size_t i, In field) {
    return At::parts + 24 * i + field;
}

// A forger's work: makes the header's checksum right.
void fix_head(std::string& file) {
    put<std::uint64_t>(file, At::checksum, 0);
    put(file, At::checksum, hash(file, 0, At::head_size));
}

// The same for every part of an undamaged layout.
void fix_all(std::string& file) {
    for (size_t i = 0; i < 4; i++) {
        put(file, part(i, In::sum),
            hash(file, number(file, part(i, In::offset), 8),
                 number(file, part(i, In::size), 8)));
    }
    fix_head(file);
}

NormTable make_table(idx_t size) {
    BankColumn column;
    column.bank_size = 3;
    column.offsets = std::vector<float>(size, 0.5F);
    column.activation = ActivationSet(size, {});
    column.lists = {1, std::vector<idx_t>(3, -1),
                    std::vector<float>(3, -infinity)};
    return {7, Metric::inner_product, size, 0, size, 42, {column}};
}

std::string text_of(std::span<const std::byte> bytes) {
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
    const NormTable table_ = make_table(5);
    const IndexInfo info_{2,
                          Metric::inner_product,
                          5,
                          IdMap::two_way,
                          {Method::is, 12.5F, 3},
                          2.5F,
                          33};
    const IndexParts parts_{ids_, &table_, {bank_.data(), 3, 2}};
    // ids at 256, to 296; table at 320, of a head of 320 bytes, to 844; bank
    // at 896, to 920; base at 960, to 976.
    static constexpr size_t table_at_ = 320;
    static constexpr size_t table_end_ = 320 + 320 + 3 * 64 + 12;
    static constexpr size_t bank_at_ = 896;
    static constexpr size_t base_at_ = 960;

    TemporaryFolder folder_;
    std::string path_ = folder_ / "a.qbindex";
};

// ---- writing and reading ----

TEST_F(IndexFileTest, WritesTheDocumentedLayout) {
    const std::string file = good();
    EXPECT_EQ(file.substr(0, 8), "QBINDX\r\n");
    EXPECT_EQ(number(file, At::version, 4), 1U);
    EXPECT_EQ(number(file, At::d, 4), 2U);
    EXPECT_EQ(number(file, At::file_size, 8), file.size());
    EXPECT_EQ(number(file, At::metric, 4), 0U);
    EXPECT_EQ(number(file, At::id_map, 4), 2U);
    EXPECT_EQ(number(file, At::ntotal, 8), 5U);
    EXPECT_EQ(number(file, At::method, 4), 1U);
    EXPECT_EQ(number(file, At::beta, 4), 0x41480000U);  // 12.5
    EXPECT_EQ(number(file, At::activation_k, 8), 3U);
    EXPECT_EQ(number(file, At::k_factor, 4), 0x40200000U);  // 2.5
    EXPECT_EQ(number(file, At::min_candidates, 8), 33U);
    write_table(table_, path_);
    const std::string expected[] = {text_of(std::span(ids_)), read_file(path_),
                                    text_of(std::span(bank_)), base_};
    const size_t offsets[] = {256, table_at_, bank_at_, base_at_};
    size_t end = At::head_size;
    for (size_t i = 0; i < 4; i++) {
        SCOPED_TRACE("part " + std::to_string(i));
        const size_t begin = number(file, part(i, In::offset), 8);
        EXPECT_EQ(begin, offsets[i]);
        EXPECT_EQ(number(file, part(i, In::size), 8), expected[i].size());
        EXPECT_EQ(number(file, part(i, In::sum), 8),
                  hash(expected[i], 0, expected[i].size()));
        EXPECT_EQ(file.substr(begin, expected[i].size()), expected[i]);
        EXPECT_EQ(file.substr(end, begin - end),
                  std::string(begin - end, '\0'));
        end = begin + expected[i].size();
    }
    EXPECT_EQ(end, file.size());
    EXPECT_EQ(file.substr(At::rest, 80), std::string(80, '\0'));
    EXPECT_EQ(number(file, 68, 4), 0U);
    std::string head = file.substr(0, At::head_size);
    put<std::uint64_t>(head, At::checksum, 0);
    EXPECT_EQ(number(file, At::checksum, 8), hash(head, 0, head.size()));
}

TEST_F(IndexFileTest, ReadsWhatWasWritten) {
    for (const idx_t size : {0, 1, 64, 1000}) {
        const NormTable table = make_table(size);
        const std::vector<idx_t> labels(size, 9);
        for (const IdMap map : {IdMap::none, IdMap::one_way, IdMap::two_way}) {
            for (const bool has_table : {false, true}) {
                for (const bool has_bank : {false, true}) {
                    IndexInfo info = info_;
                    info.ntotal = size;
                    info.id_map = map;
                    IndexParts given;
                    if (map != IdMap::none) given.ids = labels;
                    if (has_table) given.table = &table;
                    if (has_bank) given.bank = parts_.bank;
                    write(info, given);
                    const auto file = read_index_file(path_, Verify::all);
                    EXPECT_EQ(file.info.d, info.d);
                    EXPECT_EQ(file.info.metric, info.metric);
                    EXPECT_EQ(file.info.ntotal, size);
                    EXPECT_EQ(file.info.id_map, map);
                    EXPECT_EQ(file.info.normalization, info.normalization);
                    EXPECT_EQ(file.info.k_factor, info.k_factor);
                    EXPECT_EQ(file.info.min_candidates, info.min_candidates);
                    EXPECT_EQ(text_of(file.ids), text_of(given.ids));
                    ASSERT_EQ(file.table.has_value(), has_table);
                    EXPECT_EQ(file.bank.rows, has_bank ? 3 : 0);
                    EXPECT_EQ(file.bank.d, 2);
                    EXPECT_EQ(text_of(file.base), base_);
                    if (has_bank) {
                        EXPECT_EQ(file.bank.row(2)[1], 6);
                    }
                    if (has_table) {
                        EXPECT_EQ(
                            text_of(file.table->columns[0].offsets.view()),
                            text_of(table.columns[0].offsets.view()));
                    }
                }
            }
        }
    }
}

TEST_F(IndexFileTest, TheTableOutlivesTheFileThatWasRead) {
    good();
    const NormTable table = *read_index_file(path_, Verify::small).table;
    EXPECT_EQ(table.columns[0].offsets[4], 0.5F);
}

TEST_F(IndexFileTest, KnowsAnIndexFile) {
    const std::string file = good();
    EXPECT_TRUE(is_index_file(path_));
    for (const std::string& other :
         {std::string(), file.substr(0, 7), std::string("QBINDX\n\n")}) {
        write_file(path_, other);
        EXPECT_FALSE(is_index_file(path_));
    }
    EXPECT_THROW_SAYING(is_index_file(folder_ / "none"), Error, "cannot open");
    EXPECT_THROW_SAYING(is_index_file(folder_ / ""), Error,
                        "not a regular file");
}

TEST_F(IndexFileTest, WritesWholeOrNotAtAll) {
    write_file(path_, "old");
    const auto expect_kept = [&](auto write, const char* why) {
        EXPECT_THROW_SAYING(write(), std::exception, why);
        EXPECT_EQ(read_file(path_), "old");
        EXPECT_EQ(folder_.count(), 1);
    };
    for (const float factor : {0.5F, nan, infinity}) {
        IndexInfo info = info_;
        info.k_factor = factor;
        expect_kept([&] { write(info, parts_); }, "k_factor");
    }
    IndexInfo info = info_;
    info.normalization.beta = 0;
    expect_kept([&] { write(info, parts_); }, "beta");
    expect_kept(
        [&] {
            write_index_file(path_, info_, parts_, [](const Sink& sink) {
                sink(std::as_bytes(std::span("half", 4)));
                throw std::runtime_error("the other half");
            });
        },
        "the other half");
    const FullDisk disk(950);
    expect_kept([&] { write(info_, parts_); }, "cannot write");
}

// ---- accidents ----

TEST_F(IndexFileTest, SaysWhatIsWrong) {
    const std::string file = good();
    const auto with = [&](size_t at, auto value) {
        std::string changed = file;
        put(changed, at, value);
        return changed;
    };
    expect_unreadable("", "truncated in its header");
    expect_unreadable(std::string(300, 'x'), "not the file of a QBNorm index");
    expect_unreadable(file.substr(0, 500), "has 500 bytes");
    expect_unreadable(with(At::version, 2U), "version 2 but");
    expect_unreadable(with(At::d, 3U), "header is damaged (wrong checksum)");
    expect_unreadable(with(256, 3U), "list of ids is damaged");
    expect_unreadable(with(bank_at_, 3U), "querybank is damaged");
    expect_unreadable(with(table_at_ + 64, 3U), Verify::all,
                      "table is damaged");
    expect_unreadable(with(table_at_ + 64, 3U), Verify::small,
                      "header is damaged (wrong checksum)");
    expect_unreadable(with(base_at_, 3U), Verify::all, "base index is damaged");
}

TEST_F(IndexFileTest, RejectsEveryOtherLength) {
    const std::string file = good();
    for (size_t size = 0; size < file.size(); size++) {
        SCOPED_TRACE(size);
        expect_unreadable(file.substr(0, size));
    }
    expect_unreadable(file + '\0');
    expect_unreadable(file + file);
}

TEST_F(IndexFileTest, FindsEveryChangedByte) {
    const std::string file = good();
    ASSERT_EQ(number(file, part(Part::table, In::size), 8),
              table_end_ - table_at_);
    for (size_t i = 0; i < file.size(); i++) {
        const bool large = (i >= table_at_ + 320 && i < table_end_) ||
                           i >= base_at_;  // not read at once
        SCOPED_TRACE("byte " + std::to_string(i));
        std::string changed = file;
        changed[i] = static_cast<char>(changed[i] ^ 1 << i % 8);
        expect_unreadable(changed, Verify::all);
        if (!large) expect_unreadable(changed, Verify::small);
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

std::string forge(std::string file, const std::vector<Change>& changes) {
    for (const Change& change : changes) {
        file.replace(change.at, change.bytes.size(), change.bytes);
    }
    fix_head(file);
    return file;
}

TEST_F(IndexFileTest, ReadsWhatAForgerLeftRight) {
    const std::string file = good();
    EXPECT_EQ(forge(file, {}), file);
    write_file(path_, forge(file, {{At::id_map, 1U},
                                   {At::method, 0U},
                                   {At::beta, 1e4F},
                                   {At::activation_k, max_activation_k},
                                   {At::k_factor, 1.0F},
                                   {At::min_candidates, -huge}}));
    const IndexInfo info = read_index_file(path_, Verify::all).info;
    EXPECT_EQ(info.id_map, IdMap::one_way);
    EXPECT_EQ(info.normalization,
              (Normalization{Method::none, 1e4F, max_activation_k}));
    EXPECT_EQ(info.k_factor, 1);
    EXPECT_EQ(info.min_candidates, -huge);
}

TEST_F(IndexFileTest, RejectsForgedHeaders) {
    const std::string file = good();
    constexpr std::uint32_t many = 0xffffffff;
    constexpr std::uint64_t top = std::uint64_t{1} << 63;
    std::vector<std::vector<Change>> forgeries{
        {{At::magic + 6, '\n'}},
        {{At::version, 0U}},
        {{At::version, 2U}},
        {{At::file_size, idx_t{0}}},
        {{At::file_size, idx_t{978}}},
        {{At::d, 0U}},
        {{At::d, 5U}},  // 24 bytes are no rows of 5
        {{At::d, (1U << 30) + 1}},
        {{At::d, many}},
        {{At::d, 1U}},  // 6 rows, but the table was fitted with 3
        {{At::metric, 1U}},
        {{At::metric, 2U}},
        {{At::metric, many}},
        {{At::id_map, 0U}},
        {{At::id_map, 3U}},
        {{At::id_map, many}},
        {{At::ntotal, idx_t{-1}}},
        {{At::ntotal, idx_t{4}}},
        {{At::ntotal, idx_t{6}}},
        {{At::ntotal, huge}},
        // 2^61 + 5 ids: their size wraps to that of 5.
        {{At::ntotal, (idx_t{1} << 61) + 5}},
        {{At::ntotal, top + 5}},
        {{At::method, 3U}},
        {{At::method, many}},
        {{At::beta, nan}},
        {{At::beta, 0.0F}},
        {{At::beta, infinity}},
        {{At::activation_k, idx_t{0}}},
        {{At::activation_k, max_activation_k + 1}},
        {{At::k_factor, nan}},
        {{At::k_factor, infinity}},
        {{At::k_factor, 0.5F}},
        {{At::k_factor, -1.0F}},
        {{part(Part::ids, In::size), idx_t{0}}},
        // A part inside another, all of them in one place.
        {{part(Part::bank, In::offset), idx_t{table_at_}}},
        {{part(Part::table, In::offset), idx_t{256}},
         {part(Part::bank, In::offset), idx_t{256}},
         {part(Part::base, In::offset), idx_t{256}}},
        // Sizes whose sum wraps to the right one.
        {{part(Part::ids, In::size), ~std::uint64_t{0} - 255},
         {part(Part::table, In::offset), idx_t{0}},
         {part(Part::table, In::size), idx_t{0}},
         {part(Part::bank, In::offset), idx_t{0}},
         {part(Part::bank, In::size), idx_t{0}},
         {part(Part::base, In::offset), idx_t{0}},
         {part(Part::base, In::size), file.size()}},
        {{part(Part::ids, In::size), top}, {part(Part::table, In::size), top}},
    };
    for (size_t i = 0; i < 4; i++) {
        for (const std::uint64_t wrong :
             {std::uint64_t{0}, std::uint64_t{64}, std::uint64_t{255},
              std::uint64_t{512}, std::uint64_t{1024}, std::uint64_t{1} << 40,
              top, ~std::uint64_t{63}, ~std::uint64_t{0}}) {
            forgeries.push_back({{part(i, In::offset), wrong}});
            forgeries.push_back({{part(i, In::size), wrong}});
        }
    }
    for (size_t i = 0; i < forgeries.size(); i++) {
        SCOPED_TRACE("forgery " + std::to_string(i));
        expect_unreadable(forge(file, forgeries[i]));
    }
    expect_unreadable(forge(file.substr(0, base_at_),
                            {{At::file_size, idx_t{base_at_}},
                             {part(Part::base, In::size), idx_t{0}}}),
                      "base index is not where it must be");
    std::string longer = file + '\0';  // that no part covers
    put<std::uint64_t>(longer, At::file_size, longer.size());
    fix_head(longer);
    expect_unreadable(longer, "not where it must be");
}

// Here no table tells that a number is wrong.
TEST_F(IndexFileTest, RejectsForgedHeadersWithoutATable) {
    IndexParts parts = parts_;
    parts.table = nullptr;
    write(info_, parts);
    const std::string file = read_file(path_);
    const std::vector<Change> forgeries{
        {At::d, 0U},
        {At::d, 5U},
        {At::metric, 2U},
        {At::ntotal, (idx_t{1} << 61) + 5},
        {At::ntotal, (std::uint64_t{1} << 63) + 5},
    };
    for (const Change& change : forgeries) {
        SCOPED_TRACE("field at " + std::to_string(change.at));
        expect_unreadable(forge(file, {change}));
    }
    IndexInfo plain = info_;
    plain.id_map = IdMap::none;
    write(plain, {});
    const std::string bare = read_file(path_);
    expect_unreadable(forge(bare, {{At::d, (1U << 30) + 1}}));
    expect_unreadable(forge(bare, {{At::d, 0xffffffffU}}));
    expect_unreadable(forge(bare, {{At::ntotal, idx_t{-1}}}));
    expect_unreadable(forge(bare, {{At::id_map, 1U}}), "list of ids");
}

TEST(MappedFile, PartsKeepTheWholeAndLeaveItBe) {
    const TemporaryFolder folder;
    write_file(folder / "a", std::string(8192, 'a') + std::string(4096, 'b'));
    auto whole = MappedFile::open(folder / "a");
    MappedFile::part(whole, 4096, 4096).reset();  // a page
    EXPECT_EQ(text_of(whole->bytes().subspan(8190, 4)), "aabb");
    const auto part = MappedFile::part(whole, 4096, 8192);
    whole.reset();
    EXPECT_EQ(part->path(), folder / "a");
    EXPECT_EQ(part->bytes().size(), 8192U);
    EXPECT_EQ(text_of(part->bytes().subspan(4094, 4)), "aabb");
}

TEST_F(IndexFileTest, ChecksTheContent) {
    std::string file = good();
    for (const float bad : {nan, infinity}) {
        put(file, bank_at_ + 8, bad);
        fix_all(file);
        expect_unreadable(file, "querybank: row 1 holds NaN or Inf");
    }
    const auto expect_wrong = [&](const NormTable& wrong, Verify verify,
                                  const char* why) {
        IndexParts given = parts_;
        given.table = &wrong;
        write(info_, given);
        expect_unreadable(read_file(path_), verify, why);
    };
    NormTable wrong = make_table(5);
    wrong.columns[0].offsets = std::vector<float>{1, 2, nan, 4, 5};
    expect_wrong(wrong, Verify::all, "an offset is NaN or Inf");
    wrong = make_table(5);
    wrong.columns[0].lists.labels = std::vector<idx_t>{-1, 5, -1};
    expect_wrong(wrong, Verify::all, "holds label 5");
    const char* not_its = "its table is not of its index";
    expect_wrong(make_table(4), Verify::small, not_its);
    wrong = make_table(5);
    wrong.gallery_size = 6;
    expect_wrong(wrong, Verify::small, not_its);
    wrong = make_table(5);
    wrong.metric = Metric::l2;
    expect_wrong(wrong, Verify::small, not_its);
    wrong = make_table(5);
    wrong.holes = 1;
    expect_wrong(wrong, Verify::small, not_its);
    wrong = make_table(5);
    wrong.columns[0].bank = Bank::gallerybank;
    expect_wrong(wrong, Verify::small, not_its);
}

}  // namespace
}  // namespace faiss_qbnorm
