// Oracle: the table of a fit from scratch (held to the papers in
// test_fit_methods.cpp), of dbsn with the weights that the index has.

#include <faiss/impl/IDSelector.h>

#include <numeric>
#include <set>

#include "faiss_qbnorm/index_io.h"
#include "tests/faiss/method_scene.h"

namespace {

using namespace methods;

constexpr const char* factories[] = {"Flat", "IVF4,Flat"};

Matrix joined(const Matrix& a, const Matrix& b) {
    Matrix result = a;
    result.data.insert(result.data.end(), b.data.begin(), b.data.end());
    result.rows += b.rows;
    return result;
}

Matrix without(const Matrix& matrix, const std::set<idx_t>& removed) {
    Matrix result{{}, 0, matrix.d};
    for (idx_t i = 0; i < matrix.rows; i++) {
        if (removed.contains(i)) continue;
        result.data.insert(result.data.end(), matrix.view().row(i),
                           matrix.view().row(i + 1));
        result.rows++;
    }
    return result;
}

/// 0, 1, ... without those in `removed`.
std::vector<idx_t> labels_but(idx_t count, const std::set<idx_t>& removed) {
    std::vector<idx_t> result;
    for (idx_t i = 0; i < count; i++) {
        if (!removed.contains(i)) result.push_back(i);
    }
    return result;
}

SharedArray<float> weights_of(const IndexQBNorm& index) {
    return index.table()->columns[0].log_weights;
}

/// Runs `test` with an index over each base under each method.
template <class Test>
void for_each_index(Test test) {
    for (const char* factory : factories) {
        for (const Metric metric : metrics) {
            for (const Normalization& normalization : all(metric)) {
                SCOPED_TRACE(std::string(factory) + " " + name_of(metric) +
                             " " + to_string(normalization));
                const auto base = base_of(factory, metric);
                IndexQBNorm index(base.get());
                index.normalization = normalization;
                set_both_banks(index);
                test(index, metric, factory[0] == 'I');
            }
        }
    }
}

TEST(IndexMethodsChange, AddingFitsAsTheWhole) {
    for_each_index([](IndexQBNorm& index, Metric metric, bool) {
        index.add(20, more.data.data());
        index.add(40, more.view().row(20));
        const Matrix whole = joined(gallery, more);
        const NormTable expected =
            fitted(whole, metric, index.normalization, weights_of(index));
        EXPECT_EQ(index.table()->fingerprint, expected.fingerprint);
        expect_table(*index.table(), expected, labels_but(460, {}));
    });
}

TEST(IndexMethodsChange, RemovingLeavesTheFitOfTheRest) {
    std::set<idx_t> removed;
    for (idx_t i = 0; i < items; i += 3) removed.insert(i);
    const std::vector<idx_t> list(removed.begin(), removed.end());
    for_each_index([&](IndexQBNorm& index, Metric metric, bool ivf) {
        EXPECT_EQ(
            index.remove_ids(faiss::IDSelectorArray(list.size(), list.data())),
            list.size());
        const Matrix rest = without(gallery, removed);
        const NormTable expected =
            fitted(rest, metric, index.normalization, weights_of(index));
        EXPECT_EQ(index.table()->holes, ivf ? idx_t(list.size()) : 0);
        expect_table(
            *index.table(), expected,
            ivf ? labels_but(items, removed) : labels_but(rest.rows, {}));
        // And on: what comes now is fitted as those before.
        const idx_t next = index.table()->gallery_size;
        index.add(more.rows, more.data.data());
        std::vector<idx_t> labels =
            ivf ? labels_but(items, removed) : labels_but(rest.rows, {});
        for (idx_t i = 0; i < more.rows; i++) labels.push_back(next + i);
        expect_table(*index.table(),
                     fitted(joined(rest, more), metric, index.normalization,
                            weights_of(index)),
                     labels);
        SearchParametersQBNorm params;
        params.k_factor = 1e6F;
        const Found found(index, k, &params);
        for (const idx_t label : found.labels) {
            EXPECT_TRUE(std::ranges::binary_search(labels, label));
        }
    });
}

TEST(IndexMethodsChange, ResettingKeepsTheBanks) {
    for_each_index([](IndexQBNorm& index, Metric metric, bool) {
        const SharedArray<float> weights = weights_of(index);
        index.reset();
        EXPECT_EQ(index.table()->items(), 0);
        EXPECT_EQ(Found(index, k).labels, std::vector<idx_t>(nq * k, -1));
        index.add(more.rows, more.data.data());
        expect_table(*index.table(),
                     fitted(more, metric, index.normalization, weights),
                     labels_but(more.rows, {}));
    });
}

TEST(IndexMethodsChange, MergingJoinsTheFits) {
    for_each_index([](IndexQBNorm& index, Metric metric, bool) {
        const auto base =
            std::unique_ptr<faiss::Index>(bases::make("Flat", metric, more));
        auto other_base = base_of(
            dynamic_cast<faiss::IndexIVF*>(index.base_index) ? "IVF4,Flat"
                                                             : "Flat",
            metric);
        other_base->reset();
        other_base->add(more.rows, more.data.data());
        IndexQBNorm other(other_base.get());
        other.set_table(
            fitted(more, metric, index.normalization, weights_of(index)),
            bank.rows, bank.data.data(), gallerybank.rows,
            gallerybank.data.data());
        index.merge_from(other);
        EXPECT_EQ(other.table()->items(), 0);
        expect_table(*index.table(),
                     fitted(joined(gallery, more), metric, index.normalization,
                            weights_of(index)),
                     labels_but(460, {}));
    });
}

TEST(IndexMethodsChange, MergingRefusesWhatWasFittedOtherwise) {
    const auto base = base_of("Flat", Metric::inner_product);
    for (const Normalization& mine : all(Metric::inner_product)) {
        IndexQBNorm index(base.get());
        index.normalization = mine;
        set_both_banks(index);
        for (const Normalization& theirs : all(Metric::inner_product)) {
            SCOPED_TRACE(to_string(mine) + " and " + to_string(theirs));
            const auto other_base =
                bases::make("Flat", Metric::inner_product, more);
            IndexQBNorm other(other_base.get());
            other.normalization = theirs;
            set_both_banks(other);
            // Weights of dbsn are learned from other items.
            if (theirs == mine && mine.method != Method::dbsn) {
                EXPECT_NO_THROW(index.check_compatible_for_merge(other));
            } else {
                EXPECT_REFUSED(index.merge_from(other),
                               "were not fitted with the same");
            }
        }
    }
}

TEST(IndexMethodsChange, BanksBeforeTrainingAndVectors) {
    for (const Metric metric : metrics) {
        for (const Normalization& normalization : all(metric)) {
            SCOPED_TRACE(name_of(metric) + " " + to_string(normalization));
            const std::unique_ptr<faiss::Index> base(faiss::index_factory(
                d, "IVF4,Flat", bases::faiss_metric(metric)));
            IndexQBNorm index(base.get());
            index.normalization = normalization;
            set_both_banks(index);
            EXPECT_EQ(index.table(), nullptr);
            index.train(items, gallery.data.data());
            ASSERT_NE(index.table(), nullptr);
            EXPECT_EQ(index.table()->items(), 0);
            index.add(items, gallery.data.data());
            const SharedArray<float> weights = weights_of(index);
            expect_table(*index.table(),
                         fitted(gallery, metric, normalization, weights),
                         labels_but(items, {}));
            if (normalization.method != Method::dbsn) continue;
            // Learned from what there was: the gallerybank.
            const auto expected = oracle::learned_log_weights(
                oracle::similarities(metric, bank.view(), gallerybank.view()),
                normalization.beta, normalization.iterations);
            for (idx_t i = 0; i < bank.rows; i++) {
                EXPECT_NEAR(weights[i], expected[i], 1e-4);
            }
        }
    }
}

TEST(IndexMethodsChange, TakesTablesWithTheirBanks) {
    for_each_index([](IndexQBNorm& index, Metric metric, bool) {
        const auto base = base_of(
            dynamic_cast<faiss::IndexIVF*>(index.base_index) ? "IVF4,Flat"
                                                             : "Flat",
            metric);
        IndexQBNorm taker(base.get());
        taker.set_table(*index.table(), bank.rows, bank.data.data(),
                        gallerybank.rows, gallerybank.data.data());
        EXPECT_EQ(taker.normalization, index.normalization);
        EXPECT_EQ(Found(taker, k), Found(index, k));
        taker.add(more.rows, more.data.data());
        index.add(more.rows, more.data.data());
        EXPECT_EQ(Found(taker, k), Found(index, k));
        expect_table(*taker.table(),
                     fitted(joined(gallery, more), metric, index.normalization,
                            weights_of(index)),
                     labels_but(460, {}));
    });
}

TEST(IndexMethodsChange, TablesWithoutTheirBanksAnswerButDoNotGrow) {
    for_each_index([](IndexQBNorm& index, Metric metric, bool) {
        const auto base = base_of("Flat", metric);
        IndexQBNorm taker(base.get());
        taker.set_table(*index.table());
        if (dynamic_cast<faiss::IndexIVF*>(index.base_index) == nullptr) {
            EXPECT_EQ(Found(taker, k), Found(index, k));
        }
        const Found before(taker, k);
        EXPECT_REFUSED(taker.add(1, more.data.data()),
                       "this index took a table without its ");
        EXPECT_EQ(Found(taker, k), before);
        const bool dual = index.table()->columns.size() == 2;
        if (!dual) return;
        taker.set_table(*index.table(), bank.rows, bank.data.data());
        EXPECT_REFUSED(taker.add(1, more.data.data()),
                       "took a table without its gallerybank");
    });
}

TEST(IndexMethodsChange, RefusesOtherBanksThanTheTables) {
    const auto base = base_of("Flat", Metric::inner_product);
    const NormTable table =
        fitted(gallery, Metric::inner_product, Method::dualis);
    IndexQBNorm index(base.get());
    EXPECT_REFUSED(index.set_table(table, bank.rows, bank.data.data(),
                                   bank.rows, bank.data.data()),
                   "the gallerybank of 90 rows is not the one");
    EXPECT_REFUSED(
        index.set_table(table, gallerybank.rows, gallerybank.data.data()),
        "the querybank of 50 rows is not the one");
    EXPECT_REFUSED(index.set_table(table, -1, nullptr),
                   "the banks have -1 and 0 rows");
    EXPECT_EQ(index.table(), nullptr);
}

// A column of another kind could not decide gates.
TEST(IndexMethodsChange, RefusesTablesOfTwoKinds) {
    const auto base = base_of("Flat", Metric::inner_product);
    NormTable table = fitted(gallery, Metric::inner_product, Method::dis);
    table.columns.push_back(
        fitted(gallery, Metric::inner_product, Method::csls).columns[0]);
    IndexQBNorm index(base.get());
    EXPECT_REFUSED(index.set_table(table), "which share none");
    table.columns[1].bank = Bank::gallerybank;
    EXPECT_REFUSED(index.set_table(table), "which share none");
}

TEST(IndexMethodsChange, FilesKeepEverything) {
    const TemporaryFolder folder;
    for_each_index([&](IndexQBNorm& index, Metric, bool) {
        write_index_qbnorm(&index, (folder / "index.qb").c_str());
        const std::unique_ptr<faiss::Index> read(
            read_index_qbnorm((folder / "index.qb").c_str()));
        auto& again = dynamic_cast<IndexQBNorm&>(*read);
        EXPECT_EQ(again.normalization, index.normalization);
        EXPECT_EQ(again.gallerybank().rows, gallerybank.rows);
        EXPECT_EQ(Found(again, k), Found(index, k));
        again.add(more.rows, more.data.data());
        index.add(more.rows, more.data.data());
        EXPECT_EQ(Found(again, k), Found(index, k));
    });
}

}  // namespace
