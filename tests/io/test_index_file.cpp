// Oracle: the layout that index_file.h documents, spelled out here byte by
// byte with XXH3 from xxhash's own header; test_table_file.cpp holds the table
// inside to its own. The base is any bytes: FAISS's are in test_index_io.cpp.

#include "faiss_qbnorm/io/table_file.h"
#include "tests/full_disk.h"
#include "tests/io/index_file_scene.h"

namespace {

using namespace index_files;

// ---- writing and reading ----

TEST_F(IndexFileTest, WritesTheDocumentedLayout) {
    const std::string file = good();
    EXPECT_EQ(file.substr(0, 8), "QBINDX\r\n");
    EXPECT_EQ(number(file, At::version, 4), 2U);
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
                                    text_of(std::span(bank_)),
                                    text_of(std::span(gallerybank_)), base_};
    const size_t offsets[] = {256, table_at_, bank_at_, gallerybank_at_,
                              base_at_};
    size_t end = At::head_size;
    for (size_t i = 0; i < part_count; i++) {
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
    EXPECT_EQ(number(file, At::beta2, 4), 0x40400000U);  // 3
    EXPECT_EQ(number(file, At::neighbours, 8), 10U);
    EXPECT_EQ(number(file, At::alpha, 4), 0x3f400000U);  // 0.75
    EXPECT_EQ(number(file, At::iterations, 4), 10U);
    EXPECT_EQ(file.substr(At::rest, 40), std::string(40, '\0'));
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
                    info.normalization.beta2 = 7;
                    info.normalization.neighbours = 5;
                    info.normalization.alpha = 0.25F;
                    info.normalization.iterations = 9;
                    info.id_map = map;
                    IndexParts given;
                    if (map != IdMap::none) given.ids = labels;
                    if (has_table) given.table = &table;
                    if (has_bank) given.bank = parts_.bank;
                    if (has_bank) given.gallerybank = parts_.gallerybank;
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
                    EXPECT_EQ(file.gallerybank.rows, has_bank ? 2 : 0);
                    EXPECT_EQ(text_of(file.base), base_);
                    if (has_bank) {
                        EXPECT_EQ(file.bank.row(2)[1], 6);
                        EXPECT_EQ(file.gallerybank.row(1)[0], 9);
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
    for (const float factor : {0.5F, not_a_number, infinity}) {
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
    expect_unreadable(with(At::version, 3U), "version 3 but");
    expect_unreadable(with(At::d, 3U), "header is damaged (wrong checksum)");
    expect_unreadable(with(256, 3U), "list of ids is damaged");
    expect_unreadable(with(bank_at_, 3U), "querybank is damaged");
    expect_unreadable(with(gallerybank_at_, 3U), "gallerybank is damaged");
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

}  // namespace
