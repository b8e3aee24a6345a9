// Oracle: tables made and worked out by hand.

#include <gtest/gtest.h>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/norm_table.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

BankColumn column_of_bank(Bank bank, const Normalization& normalization,
                          std::vector<float> offsets) {
    BankColumn column;
    column.bank = bank;
    column.normalization = normalization;
    column.bank_size = 2;
    const auto size = static_cast<idx_t>(offsets.size());
    column.offsets = std::move(offsets);
    if (column.has_activation()) {
        const idx_t active[] = {bank == Bank::querybank ? 0 : 1};
        column.activation = ActivationSet(size, active);
    }
    if (column.has_weights()) column.log_weights = std::vector<float>{0, 0};
    return column;
}

NormTable table_of(const Normalization& normalization) {
    NormTable table{4, Metric::inner_product, 2, 0, 2, 0, {}};
    table.columns.push_back(
        column_of_bank(Bank::querybank, normalization, {1, 2}));
    if (is_dual(normalization.method)) {
        table.columns.push_back(
            column_of_bank(Bank::gallerybank, normalization, {5, -2}));
    }
    check(table);
    return table;
}

constexpr Method one_column[] = {Method::none, Method::is,  Method::dis,
                                 Method::csls, Method::nnn, Method::cent,
                                 Method::dbsn};

// By name, which methods a table fitted for one serves.
std::string served_by(const NormTable& table) {
    std::string served;
    for (const Method method : all_methods()) {
        try {
            check_serves(table, method);
            served += name_of(method) + " ";
        } catch (const Error&) {
            continue;
        }
    }
    return served;
}

TEST(CheckServes, KnowsWhatSharesColumns) {
    const std::pair<Method, const char*> expected[] = {
        {Method::none, "none is dis "},
        {Method::is, "none is dis "},
        {Method::dis, "none is dis "},
        {Method::csls, "none csls "},
        {Method::nnn, "none nnn "},
        {Method::cent, "none cent "},
        {Method::dbsn, "none dbsn "},
        {Method::dualis, "none is dis dualis dualdis "},
        {Method::dualdis, "none is dis dualis dualdis "},
    };
    for (const auto& [method, served] : expected) {
        EXPECT_EQ(served_by(table_of(method)), served) << name_of(method);
    }
}

TEST(CheckServes, SaysWhyNot) {
    EXPECT_THROW_SAYING(check_serves(table_of(Method::csls), Method::nnn),
                        Error,
                        "the table was fitted for method csls, which does not "
                        "serve nnn; fit it again");
    EXPECT_THROW_SAYING(check_serves(table_of(Method::dis), Method::gc), Error,
                        "gc ranks by the bank itself");
    EXPECT_THROW_SAYING(
        check_serves(table_of(Method::is), Method::is, Bank::gallerybank),
        Error, "the table has no column of a gallerybank");
    EXPECT_THROW_SAYING(
        check_serves(table_of(Method::csls), Method::csls, Bank::gallerybank),
        Error, "the table has no column of a gallerybank");
    NormTable none;
    EXPECT_THROW_SAYING(check_serves(none, Method::is), Error,
                        "the table has no columns");
    NormTable one = table_of(Method::dualis);
    one.columns.pop_back();
    EXPECT_THROW_SAYING(check_serves(one, Method::dualis), Error,
                        "does not serve dualis");
}

TEST(RankingColumn, IsTheMethodsOwn) {
    for (const Method method : one_column) {
        EXPECT_EQ(ranking_column(table_of(method), method).offsets[1], 2);
    }
    const NormTable both = table_of(Method::dualis);
    EXPECT_EQ(ranking_column(both, Method::is).offsets[0], 1);
    EXPECT_EQ(ranking_column(both, Method::dis, Bank::gallerybank).offsets[0],
              5);
}

// exp(20 s - 20 o1) exp(3 s - 3 o2) = exp(23 (s - (20 o1 + 3 o2) / 23)).
TEST(RankingColumn, OfDualIsWeighsBothBanks) {
    NormTable table = table_of(Method::dualis);
    const BankColumn column = ranking_column(table, Method::dualis);
    EXPECT_FLOAT_EQ(column.offsets[0], (20 * 1 + 3 * 5) / 23.0F);
    EXPECT_FLOAT_EQ(column.offsets[1], (20 * 2 - 3 * 2) / 23.0F);
    EXPECT_EQ(column.bank, Bank::querybank);
    std::swap(table.columns[0], table.columns[1]);  // in any order
    EXPECT_FLOAT_EQ(ranking_column(table, Method::dualis).offsets[0],
                    (20 * 1 + 3 * 5) / 23.0F);
    for (BankColumn& each : table.columns) each.normalization.beta2 = 20;
    EXPECT_FLOAT_EQ(ranking_column(table, Method::dualis).offsets[0], 3);
}

TEST(CheckTable, HoldsColumnsToOneAnother) {
    const auto refuse = [](const NormTable& table, const char* text) {
        EXPECT_THROW_SAYING(check(table), Error, text);
    };
    NormTable table = table_of(Method::dualis);
    table.columns[1].bank = Bank::querybank;
    refuse(table, "two columns of a querybank");
    table = table_of(Method::dualis);
    table.columns[1] = column_of_bank(Bank::gallerybank, Method::csls, {1, 2});
    refuse(table, "methods dualis and csls, which share none");
    // Such a column could not decide a gate.
    const char* size = "arrays are not of its size";
    table = table_of(Method::dis);
    table.columns[0].activation = {};
    refuse(table, size);
    table = table_of(Method::csls);
    table.columns[0].activation = ActivationSet(2, {});
    refuse(table, size);
    for (const size_t weights : {0, 1, 3}) {
        table = table_of(Method::dbsn);
        table.columns[0].log_weights = std::vector<float>(weights);
        refuse(table, size);
    }
    table = table_of(Method::is);
    table.columns[0].log_weights = std::vector<float>(2);
    refuse(table, size);
}

TEST(SameBankAndFit, ComparesWeightsToo) {
    const BankColumn a = table_of(Method::dbsn).columns[0];
    BankColumn b = a;
    EXPECT_TRUE(same_bank_and_fit(a, b));
    b.log_weights = std::vector<float>{0, 1};
    EXPECT_FALSE(same_bank_and_fit(a, b));
    b = a;
    b.normalization.iterations = 11;
    EXPECT_FALSE(same_bank_and_fit(a, b));
    b = a;
    b.bank = Bank::gallerybank;
    EXPECT_FALSE(same_bank_and_fit(a, b));
    b = a;
    b.bank_fingerprint++;
    EXPECT_FALSE(same_bank_and_fit(a, b));
    b = a;
    b.bank_size++;
    EXPECT_FALSE(same_bank_and_fit(a, b));
}

}  // namespace
