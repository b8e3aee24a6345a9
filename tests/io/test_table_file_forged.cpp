// Oracle: the layout that table_file.h documents. Here the checksums are right
// and the rest is a forger's.

#include "tests/io/table_files.h"

namespace {

using namespace table_files;

TEST_F(TableFileTest, ReadsWhatAForgerLeftRight) {
    const std::string good = bytes_of(small_);
    EXPECT_EQ(forged(good, {}, small_head_), good);
    small_.d = 1 << 30;
    small_.metric = Metric::l2;
    small_.gallery_size = huge;
    small_.fingerprint = 1;
    small_.columns[0].bank = Bank::gallerybank;
    Normalization& normalization = small_.columns[0].normalization;
    normalization = {Method::dualdis, 1e4F, max_activation_k};
    normalization.beta2 = 0.5F;
    normalization.neighbours = max_neighbours;
    normalization.alpha = 100;
    normalization.iterations = max_iterations;
    expect_equal(read(forged(good,
                             {{At::d, 1U << 30},
                              {At::metric, 1U},
                              {At::gallery_size, huge},
                              {At::table_fingerprint, idx_t{1}},
                              {At::bank, 1U},
                              {At::method, 9U},
                              {At::beta, 1e4F},
                              {At::beta2, 0.5F},
                              {At::activation_k, max_activation_k},
                              {At::neighbours, max_neighbours},
                              {At::alpha, 100.0F},
                              {At::iterations, max_iterations}},
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
        {{At::version, 1U}},  // whose columns are shorter
        {{At::version, 3U}},
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
        {{At::method, 3U}},  // has no activation set
        {{At::method, 7U}},  // has weights
        {{At::method, 10U}},
        {{At::method, many}},
        {{At::beta, not_a_number}},
        {{At::beta, 0.0F}},
        {{At::beta, -1.0F}},
        {{At::beta, 2e4F}},
        {{At::beta, infinity}},
        {{At::beta2, not_a_number}},
        {{At::beta2, 0.0F}},
        {{At::beta2, 2e4F}},
        {{At::activation_k, idx_t{0}}},
        {{At::activation_k, idx_t{-1}}},
        {{At::neighbours, idx_t{0}}},
        {{At::neighbours, idx_t{-1}}},
        {{At::neighbours, max_neighbours + 1}},
        {{At::alpha, not_a_number}},
        {{At::alpha, -1.0F}},
        {{At::alpha, 101.0F}},
        {{At::iterations, 0}},
        {{At::iterations, -1}},
        {{At::iterations, max_iterations + 1}},
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
        expect_unreadable(forged(good, forgeries[i], small_head_));
    }
}

TEST_F(TableFileTest, RejectsForgedSections) {
    const std::string good = bytes_of(small_);
    const auto reject = [&](size_t at, auto value) {
        SCOPED_TRACE("field at " + std::to_string(at) + " made " +
                     std::to_string(value));
        expect_unreadable(forged(good, {{at, value}}, small_head_));
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

// A file of one column and no lists with room for a third section: a head of
// 64 bytes more.
std::string with_room(const std::string& file) {
    std::string result = file;
    result.insert(256, 64, '\0');
    put<std::uint64_t>(result, At::head_size, 320);
    put<std::uint64_t>(result, At::file_size, result.size());
    for (const size_t i : {0, 1}) {
        put(result, section(i, In::offset),
            number(result, section(i, In::offset), 8) + 64);
    }
    put<std::uint32_t>(result, At::sections, 3);
    return result;
}

TEST_F(TableFileTest, RejectsMissingAndSuperfluousSections) {
    const std::string good = bytes_of(make_table(2, 5, false));
    ASSERT_EQ(number(good, At::head_size, 8), 256U);
    const std::string roomy = with_room(good);
    const auto third = [&](std::uint32_t kind, std::uint32_t column,
                           std::uint64_t offset, std::uint64_t size) {
        return forged(roomy,
                      {{section(2, In::kind), kind},
                       {section(2, In::column), column},
                       {section(2, In::offset), offset},
                       {section(2, In::size), size}},
                      320);
    };
    const char* of_none = "belongs to no column";
    expect_unreadable(third(0, 0, 320, 20), of_none);  // the offsets again
    expect_unreadable(third(2, 0, 384, 8), of_none);   // lists of no length
    expect_unreadable(third(4, 0, 320, 12), of_none);  // weights, but not dbsn
    expect_unreadable(third(0, 1, 320, 20), of_none);
    expect_unreadable(third(9, 0, 320, 20), of_none);
    expect_unreadable(third(9, 0, 1 << 30, 512), "not inside the file");
    // The same bytes with a use for the third.
    const std::string weighted =
        forged(third(4, 0, 320, 12),
               {{At::method, 7U}, {section(1, In::size), idx_t{0}}}, 320);
    EXPECT_EQ(read(weighted).columns[0].log_weights.size(), 3U);
    expect_unreadable(forged(good, {{At::list_length, idx_t{-1}}}, 256),
                      "counts are damaged");
    expect_unreadable(forged(good, {{At::list_length, idx_t{1}}}, 256),
                      "a section is missing");
    expect_unreadable(
        forged(good, {{At::sections, 1U}, {At::head_size, idx_t{256}}}, 256),
        "header is damaged");
    expect_unreadable(
        forged(good, {{At::sections, 0U}, {At::head_size, idx_t{192}}}, 192),
        "header is damaged");
}

TEST_F(TableFileTest, HoldsWeightsToTheirColumn) {
    const std::string good = bytes_of(make_weighted_table());
    ASSERT_EQ(number(good, At::sections, 4), 3U);  // the third has the weights
    ASSERT_EQ(number(good, At::head_size, 8), 320U);
    const auto reject = [&](const std::vector<Change>& changes,
                            const char* why) {
        SCOPED_TRACE(why);
        expect_unreadable(forged(good, changes, 320), why);
    };
    const char* size = "a section has the wrong size";
    reject({{section(2, In::kind), 3U}}, "a section is missing");
    reject({{section(2, In::size), idx_t{4}}}, size);
    reject({{section(2, In::size), idx_t{0}}}, size);
    reject({{section(2, In::size), idx_t{6}}}, size);
    reject({{At::bank_size, idx_t{1}}}, size);
    reject({{At::bank_size, idx_t{3}}}, size);
    reject({{At::bank_size, idx_t{1} << 30}}, size);
    reject({{section(1, In::size), idx_t{8}}}, size);  // an activation set
    for (const std::uint32_t method : {3U, 4U, 5U, 6U}) {
        reject({{At::method, method}}, "belongs to no column");
    }
    for (const std::uint32_t method : {0U, 1U, 2U, 8U, 9U}) {
        reject({{At::method, method}}, size);  // of no activation set
    }
    for (const float bad : {not_a_number, infinity, -infinity}) {
        std::string file = good;
        put(file, number(file, section(2, In::offset), 8) + 4, bad);
        fix_all(file);
        expect_unsound(file, "a weight is NaN or Inf");
    }
}

TEST_F(TableFileTest, VerifiesTheContent) {
    const std::string good = bytes_of(small_);
    const auto with = [&](size_t at, auto value) {
        std::string file = good;
        put(file, at, value);
        fix_all(file);
        return file;
    };
    for (const float bad : {not_a_number, infinity, -infinity}) {
        expect_unsound(with(320 + 4, bad), "an offset is NaN or Inf");
    }
    expect_unsound(with(384, idx_t{1} << 5), "activation set is longer");
    expect_unsound(with(384, -huge - 1), "activation set is longer");
    for (const idx_t bad : {idx_t{-2}, idx_t{0}, idx_t{1}, idx_t{7}, huge}) {
        expect_unsound(with(448 + 8, bad), "holds label");
    }
    expect_unsound(with(512 + 8, not_a_number), "score");
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

TEST_F(TableFileTest, RejectsForgedPairsOfColumns) {
    NormTable pair = make_table(0, 5, false);
    pair.columns.push_back(pair.columns[0]);
    pair.columns[1].bank = Bank::gallerybank;
    for (BankColumn& column : pair.columns) {
        column.normalization.method = Method::dualis;
    }
    const std::string good = bytes_of(pair);
    expect_equal(read(good), pair);
    const size_t head = number(good, At::head_size, 8);
    constexpr size_t second = 64;  // a ColumnInfo
    const auto reject = [&](const std::vector<Change>& changes,
                            const char* why) {
        SCOPED_TRACE(why);
        expect_unreadable(forged(good, changes, head), why);
    };
    reject({{At::bank + second, 0U}}, "two columns of a querybank");
    reject({{At::bank, 1U}}, "two columns of a gallerybank");
    reject({{At::method + second, 3U}}, "wrong size");
    reject(
        {{At::method + second, 3U}, {section(3, In::size) + second, idx_t{0}}},
        "methods dualis and csls, which share none");
    reject({{At::method, 3U}, {section(1, In::size) + second, idx_t{0}}},
           "methods csls and dualis, which share none");
    reject({{At::columns, 1U}}, "");
    // One column of a method of two serves what needs no more.
    const NormTable alone = read(
        forged(bytes_of(make_table(0, 5, false)), {{At::method, 8U}}, 256));
    EXPECT_NO_THROW(check_serves(alone, Method::dis));
    for (const Method method : {Method::dualis, Method::dualdis}) {
        EXPECT_THROW_SAYING(check_serves(alone, method), Error,
                            "does not serve " + name_of(method));
        EXPECT_THROW_SAYING(ranking_column(alone, method), Error,
                            "does not serve");
    }
}

TEST_F(TableFileTest, ServesNothingWithAForgedGc) {
    const NormTable table =
        read(forged(bytes_of(make_table(0, 5, false)),
                    {{At::method, 4U}, {section(1, In::size), idx_t{0}}}, 256));
    for (const Method method : all_methods()) {
        if (method == Method::none) continue;
        EXPECT_THROW_SAYING(
            ranking_column(table, method), Error,
            method == Method::gc ? "gc ranks by the bank" : "does not serve");
    }
}

}  // namespace
