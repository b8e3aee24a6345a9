// Oracle: the layout that index_file.h documents. Here the checksums are right
// and the rest is a forger's.

#include "tests/io/index_file_scene.h"

namespace {

using namespace index_files;

std::string forged(const std::string& file,
                   const std::vector<Change>& changes) {
    std::string result = forge::changed(file, changes);
    fix_head(result);
    return result;
}

TEST_F(IndexFileTest, ReadsWhatAForgerLeftRight) {
    const std::string file = good();
    EXPECT_EQ(forged(file, {}), file);
    write_file(path_, forged(file, {{At::id_map, 1U},
                                    {At::method, 9U},
                                    {At::beta, 1e4F},
                                    {At::beta2, 0.5F},
                                    {At::activation_k, max_activation_k},
                                    {At::neighbours, max_neighbours},
                                    {At::alpha, 100.0F},
                                    {At::iterations, max_iterations},
                                    {At::k_factor, 1.0F},
                                    {At::min_candidates, -huge}}));
    const IndexInfo info = read_index_file(path_, Verify::all).info;
    EXPECT_EQ(info.id_map, IdMap::one_way);
    Normalization normalization{Method::dualdis, 1e4F, max_activation_k};
    normalization.beta2 = 0.5F;
    normalization.neighbours = max_neighbours;
    normalization.alpha = 100;
    normalization.iterations = max_iterations;
    EXPECT_EQ(info.normalization, normalization);
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
        {{At::version, 1U}},
        {{At::version, 3U}},
        {{At::file_size, idx_t{0}}},
        {{At::file_size, idx_t{1042}}},
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
        {{At::method, 10U}},
        {{At::method, many}},
        {{At::beta, not_a_number}},
        {{At::beta, 0.0F}},
        {{At::beta, infinity}},
        {{At::activation_k, idx_t{0}}},
        {{At::activation_k, max_activation_k + 1}},
        {{At::beta2, not_a_number}},
        {{At::beta2, 0.0F}},
        {{At::beta2, 2e4F}},
        {{At::neighbours, idx_t{0}}},
        {{At::neighbours, idx_t{-1}}},
        {{At::neighbours, max_neighbours + 1}},
        {{At::alpha, not_a_number}},
        {{At::alpha, -1.0F}},
        {{At::alpha, 101.0F}},
        {{At::iterations, 0}},
        {{At::iterations, -1}},
        {{At::iterations, max_iterations + 1}},
        {{part(Part::gallerybank, In::size), idx_t{12}}},  // half a row
        {{At::k_factor, not_a_number}},
        {{At::k_factor, infinity}},
        {{At::k_factor, 0.5F}},
        {{At::k_factor, -1.0F}},
        {{part(Part::ids, In::size), idx_t{0}}},
        // A part inside another, all of them in one place.
        {{part(Part::bank, In::offset), idx_t{table_at_}}},
        {{part(Part::table, In::offset), idx_t{256}},
         {part(Part::bank, In::offset), idx_t{256}},
         {part(Part::gallerybank, In::offset), idx_t{256}},
         {part(Part::base, In::offset), idx_t{256}}},
        // Sizes whose sum wraps to the right one.
        {{part(Part::ids, In::size), ~std::uint64_t{0} - 255},
         {part(Part::table, In::offset), idx_t{0}},
         {part(Part::table, In::size), idx_t{0}},
         {part(Part::bank, In::offset), idx_t{0}},
         {part(Part::bank, In::size), idx_t{0}},
         {part(Part::gallerybank, In::offset), idx_t{0}},
         {part(Part::gallerybank, In::size), idx_t{0}},
         {part(Part::base, In::offset), idx_t{0}},
         {part(Part::base, In::size), file.size()}},
        {{part(Part::ids, In::size), top}, {part(Part::table, In::size), top}},
    };
    for (size_t i = 0; i < part_count; i++) {
        for (const std::uint64_t wrong :
             {std::uint64_t{0}, std::uint64_t{64}, std::uint64_t{255},
              std::uint64_t{512}, std::uint64_t{1024}, std::uint64_t{1} << 40,
              top, ~std::uint64_t{63}, ~std::uint64_t{0}}) {
            for (const In field : {In::offset, In::size}) {
                if (number(file, part(i, field), 8) == wrong) continue;
                forgeries.push_back({{part(i, field), wrong}});
            }
        }
    }
    for (size_t i = 0; i < forgeries.size(); i++) {
        SCOPED_TRACE("forgery " + std::to_string(i));
        expect_unreadable(forged(file, forgeries[i]));
    }
    expect_unreadable(forged(file.substr(0, base_at_),
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
        expect_unreadable(forged(file, {change}));
    }
    IndexInfo plain = info_;
    plain.id_map = IdMap::none;
    write(plain, {});
    const std::string bare = read_file(path_);
    expect_unreadable(forged(bare, {{At::d, (1U << 30) + 1}}));
    expect_unreadable(forged(bare, {{At::d, 0xffffffffU}}));
    expect_unreadable(forged(bare, {{At::ntotal, idx_t{-1}}}));
    expect_unreadable(forged(bare, {{At::id_map, 1U}}), "list of ids");
}

TEST_F(IndexFileTest, ChecksTheContent) {
    for (const float bad : {not_a_number, infinity}) {
        std::string file = good();
        put(file, bank_at_ + 8, bad);
        fix_all(file);
        expect_unreadable(file, "querybank: row 1 holds NaN or Inf");
        file = good();
        put(file, gallerybank_at_ + 8, bad);
        fix_all(file);
        expect_unreadable(file, "gallerybank: row 1 holds NaN or Inf");
    }
    const auto expect_wrong = [&](const NormTable& wrong, Verify verify,
                                  const char* why) {
        IndexParts given = parts_;
        given.table = &wrong;
        write(info_, given);
        expect_unreadable(read_file(path_), verify, why);
    };
    NormTable wrong = make_table(5);
    wrong.columns[0].offsets = std::vector<float>{1, 2, not_a_number, 4, 5};
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
    wrong.columns[0].bank = Bank::gallerybank;  // which has two rows
    expect_wrong(wrong, Verify::small, not_its);
    IndexParts given = parts_;
    given.table = &wrong;
    given.gallerybank = {};
    write(info_, given);
    EXPECT_EQ(read_index_file(path_, Verify::all).gallerybank.rows, 0);
}

}  // namespace
