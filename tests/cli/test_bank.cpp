// Oracle: the bank's first items by tests/oracle.h, and its rows as written.

#include <map>

#include "tests/cli/run.h"

namespace {

using namespace cli;
using nlohmann::json;

class BankCommand : public Scene {
  protected:
    json report(const Command& more) const {
        done(base.with(more).with("--json", "bank.json"));
        return read_json(folder / "bank.json");
    }

    const Command base = "bank --gallery gallery.npy --querybank bank.npy";
};

TEST_F(BankCommand, CountsTheFirstItems) {
    Matrix twice = bank;
    twice.data.insert(twice.data.end(), bank.data.begin(),
                      bank.data.begin() + 5 * 24);
    twice.rows += 5;
    write_npy(folder / "bank.npy", twice);
    std::map<idx_t, idx_t> hits;
    for (const auto& row : oracle::similarities(Metric::inner_product,
                                                twice.view(), gallery.view())) {
        hits[oracle::ranking(row)[0]]++;
    }
    const json said = report("");
    EXPECT_EQ(said["rows"], 95);
    EXPECT_EQ(said["items"], 1000);
    EXPECT_EQ(said["duplicates"], 5);
    EXPECT_EQ(said["activation_set"], hits.size());
    EXPECT_NEAR(said["never_first"], 1 - double(hits.size()) / 1000, 1e-12);
    idx_t before = 1000;
    for (const json& item : said["most_hit"]) {
        EXPECT_EQ(item["hits"], hits[item["item"]]);
        EXPECT_LE(item["hits"], before);
        before = item["hits"];
    }
    EXPECT_NE(std::string(said["verdict"]).find("only live queries"),
              std::string::npos);
    EXPECT_FALSE(said.contains("entropy"));
}

TEST_F(BankCommand, JudgesByLiveQueries) {
    const json said = report("--queries queries.npy");
    EXPECT_EQ(said["queries"], 60);
    EXPECT_TRUE(said["entropy"].contains("none"));
    EXPECT_NE(std::string(said["verdict"]).find("these queries"),
              std::string::npos);
    const std::string printed = done(base.with("--queries queries.npy"));
    EXPECT_NE(printed.find(std::string(said["verdict"])), std::string::npos);
}

TEST_F(BankCommand, WritesASmallerBankOfItsRows) {
    const json said = report("--normalize --subsample 30 -o small.npy");
    EXPECT_EQ(said["subsample"], 30);
    const Npy small = read_npy(folder / "small.npy");
    EXPECT_EQ(small.descr, "<f4");
    ASSERT_EQ(small.rows, 30);
    ASSERT_EQ(small.d, 24);
    const auto values = values_of<float>(small.elements);
    idx_t next = 0;  // in the bank's order, each once, as they were given
    for (idx_t i = 0; i < 30; i++) {
        while (next < 90 &&
               !std::equal(bank.view().row(next), bank.view().row(next) + 24,
                           values.begin() + i * 24)) {
            next++;
        }
        ASSERT_LT(next, 90) << "row " << i;
        next++;
    }
}

TEST_F(BankCommand, RefusesWhatItCannotDo) {
    expect_refusal(run(base.with("--subsample 91 -o small.npy")), 1,
                   {"bank.npy: has 90 distinct rows"});
    EXPECT_FALSE(std::filesystem::exists(folder / "small.npy"));
    expect_refusal(run(base.with("--subsample 9")), 2, {"--output"});
    expect_refusal(run(base.with("-o small.npy")), 2, {"--subsample"});
    expect_refusal(run(base.with("--subsample 9 -o small.fvecs")), 1,
                   {"small.fvecs", ".npy"});
    expect_refusal(run(base.with("--subsample 9 -o bank.npy")), 1,
                   {"bank.npy: is an input too"});
}

}  // namespace
