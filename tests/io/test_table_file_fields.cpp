// Oracle: what table_file.h promises of any bytes: an Error that names the
// file, or a table of the sizes that it says.

#include "tests/io/table_files.h"

namespace {

using namespace table_files;

// Reads all that a table says it has.
double read_through(const NormTable& table) {
    double sum = 0;
    for (const BankColumn& column : table.columns) {
        for (const float x : column.offsets) sum += x != 0;
        for (const float x : column.log_weights) sum += x != 0;
        for (const float x : column.lists.scores) sum += x != 0;
        for (const idx_t x : column.lists.labels) sum += x != 0;
        sum += static_cast<double>(column.activation.count());
    }
    for (const Method method : all_methods()) {
        for (const Bank bank : {Bank::querybank, Bank::gallerybank}) {
            try {
                const BankColumn column = ranking_column(table, method, bank);
                for (const float x : column.offsets) sum += x != 0;
                for (idx_t i = 0; is_gated(method) && i < table.size(); i++) {
                    sum += column.activation.contains(i) ? 1 : 0;
                }
            } catch (const Error&) {
                continue;  // it does not serve the method
            }
        }
    }
    return sum;
}

// Whatever stands in a field, there is an error that names the file or a table
// whose arrays can be read to their ends.
TEST_F(TableFileTest, SurvivesEveryForgedField) {
    NormTable pair = make_table(0, 5, true);
    pair.columns.push_back(make_column(0, 5, true));
    pair.columns[1].bank = Bank::gallerybank;
    for (const NormTable& table : {small_, pair, make_weighted_table()}) {
        const std::string good = bytes_of(table);
        const size_t head = number(good, At::head_size, 8);
        long readable = 0;
        long refused = 0;
        const auto attack = [&](const Change& change) {
            write_file(path_, forged(good, {change}, head));
            try {
                const NormTable found = read_table(path_);
                EXPECT_GE(read_through(found), 0);
                EXPECT_NO_THROW(check(found));
                readable++;
                verify_table(path_);
            } catch (const Error& problem) {
                EXPECT_TRUE(
                    std::string(problem.what()).starts_with(path_ + ": "))
                    << problem.what();
                refused++;
            }
        };
        for (size_t at = 0; at < head; at += 4) {
            for (const std::uint32_t value :
                 {0U, 1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U, 9U, 10U, 64U, 256U,
                  0x7fffffffU, 0x80000000U, 0xffffffffU}) {
                attack({at, value});
            }
        }
        for (size_t at = 0; at + 8 <= head; at += 8) {
            for (const std::uint64_t value :
                 {std::uint64_t{1} << 31, std::uint64_t{1} << 58,
                  std::uint64_t{1} << 61, std::uint64_t{1} << 62,
                  std::uint64_t{1} << 63, ~std::uint64_t{0} >> 1,
                  ~std::uint64_t{0} - 63, ~std::uint64_t{0}}) {
                attack({at, value});
            }
        }
        EXPECT_GT(readable, 100);
        EXPECT_GT(refused, 1000);
    }
}

}  // namespace
