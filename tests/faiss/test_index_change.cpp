// Oracle: the paper in float64 (oracle.h) over the vectors that should be left,
// under the labels that FAISS should give them (model.h).

#include <faiss/IndexIDMap.h>
#include <faiss/impl/IDSelector.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/data.h"
#include "tests/faiss/model.h"

namespace {

using namespace faiss_qbnorm;
using model::empty_base;
using model::Model;
using model::remove_from;
using model::rows;

constexpr int d = 12;

std::set<idx_t> some_of(const std::vector<idx_t>& labels, double share,
                        unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> coin;
    std::set<idx_t> chosen;
    for (const idx_t label : labels) {
        if (coin(random) < share) chosen.insert(label);
    }
    return chosen;
}

class Change : public testing::TestWithParam<Metric> {
  protected:
    const Metric metric = GetParam();
    const Matrix gallery = testdata::unit(400, d, 1);
    const Matrix queries = testdata::unit(12, d, 2);
    const Matrix bank = testdata::unit(60, d, 3);
};

INSTANTIATE_TEST_SUITE_P(Metrics, Change,
                         testing::Values(Metric::inner_product, Metric::l2));

TEST_P(Change, RemovalsAndAdditionsAreAFitOfWhatIsLeft) {
    for (const char* factory :
         {"Flat", "SQ8", "PQ4x4np", "IVF8,Flat", "IVF8,SQ8", "IVF8,PQ4x4np",
          "PCA8,Flat", "RR12,SQ8", "RR12,IVF8,Flat", "PCA8,IVF8,SQ8"}) {
        SCOPED_TRACE(factory);
        const auto base = empty_base(factory, metric, gallery);
        const Matrix first = rows(gallery, 0, 300);
        base->add(300, first.data.data());
        IndexQBNorm index(base.get());
        index.set_querybank(bank.rows, bank.data.data(), first.data.data());
        Model model(*base, bank, index.normalization);
        model.add(first);
        model.expect_in(index, queries, 10);

        // Offsets of items that stay are the very ones.
        const NormTable before = *index.table();
        const auto old_labels = model.labels();
        const auto third = some_of(old_labels, 0.33, 5);
        EXPECT_EQ(remove_from(index, third), third.size());
        model.remove(third);
        model.expect_in(index, queries, 10);
        const auto left = model.labels();
        size_t place = 0;
        for (const idx_t old : old_labels) {
            if (third.contains(old)) continue;
            ASSERT_EQ(index.table()->columns[0].offsets[left[place++]],
                      before.columns[0].offsets[old]);
        }

        index.add(50, gallery.view().row(300));
        model.add(rows(gallery, 300, 350));
        model.expect_in(index, queries, 10);

        // The last ones, whose labels no later item gets.
        const auto labels = model.labels();
        const std::set<idx_t> last(labels.end() - 20, labels.end());
        EXPECT_EQ(remove_from(index, last), 20U);
        model.remove(last);
        model.expect_in(index, queries, 10);
        index.add(10, gallery.view().row(350));
        model.add(rows(gallery, 350, 360));
        model.expect_in(index, queries, 10);

        EXPECT_EQ(index.remove_ids(faiss::IDSelectorRange(0, 0)), 0U);
        EXPECT_EQ(remove_from(index, {model.next, -1, 1 << 20}), 0U);
        model.expect_in(index, queries, 400);

        EXPECT_EQ(index.remove_ids(faiss::IDSelectorRange(0, model.next)),
                  model.items.size());
        const auto all = model.labels();
        model.remove({all.begin(), all.end()});
        model.expect_in(index, queries, 10);
        index.add(30, gallery.view().row(360));
        model.add(rows(gallery, 360, 390));
        model.expect_in(index, queries, 40);
        index.reset();
        model.reset();
        model.expect_in(index, queries, 3);
        index.add(5, gallery.view().row(390));
        model.add(rows(gallery, 390, 395));
        model.expect_in(index, queries, 6);
    }
}

TEST_P(Change, LabelsAreNeverGivenAgain) {
    for (const char* factory : {"IVF8,Flat", "RR12,IVF8,PQ4x4np"}) {
        const auto base = empty_base(factory, metric, gallery);
        IndexQBNorm index(base.get());
        index.set_querybank(bank.rows, bank.data.data());
        index.add(100, gallery.data.data());
        index.remove_ids(faiss::IDSelectorRange(40, 100));
        index.add(10, gallery.view().row(200));
        // Each new item is found under a label of its own.
        std::vector<float> distances(70);
        std::vector<idx_t> labels(70);
        index.search(1, queries.data.data(), 70, distances.data(),
                     labels.data());
        std::set<idx_t> expected;
        for (idx_t i = 0; i < 40; i++) expected.insert(i);
        for (idx_t i = 100; i < 110; i++) expected.insert(i);
        expected.insert(-1);
        EXPECT_EQ(std::set<idx_t>(labels.begin(), labels.end()), expected);
    }
}

// Where the base holds the very vectors, the table knows it afterwards: a
// second index over the base takes it, and a fit from scratch agrees.
TEST_P(Change, FingerprintsFollow) {
    for (const char* factory : {"Flat", "IVF8,Flat"}) {
        SCOPED_TRACE(factory);
        const auto base = empty_base(factory, metric, gallery);
        IndexQBNorm index(base.get());
        index.set_querybank(bank.rows, bank.data.data());
        index.add(300, gallery.data.data());
        for (const double share : {0.0, 0.01, 0.3}) {
            for (int round = 0; round < 3; round++) {
                remove_from(index, some_of({0, 1, 5, 63, 64, 70, 128, 200, 299},
                                           share * 3, 7 + round));
                index.add(2, gallery.view().row(300 + round));
                IndexQBNorm second(base.get());
                second.set_querybank(bank.rows, bank.data.data());
                EXPECT_NE(index.table()->fingerprint, 0U);
                EXPECT_EQ(index.table()->fingerprint,
                          second.table()->fingerprint);
                second.set_table(*index.table());
                NormTable other = *index.table();
                other.fingerprint++;
                EXPECT_REFUSED(second.set_table(other), "fingerprints differ");
            }
        }
    }
    // A lossy base never knows.
    const auto lossy = empty_base("IVF8,SQ8", metric, gallery);
    IndexQBNorm index(lossy.get());
    index.set_querybank(bank.rows, bank.data.data());
    index.add(300, gallery.data.data());
    index.remove_ids(faiss::IDSelectorRange(0, 10));
    EXPECT_EQ(index.table()->fingerprint, 0U);
    IndexQBNorm second(lossy.get());
    second.set_table(*index.table(), bank.rows, bank.data.data());
    index.remove_ids(faiss::IDSelectorRange(10, 20));
}

// A bank list holds activation_k + 8 items; the query's best go again and
// again, so that the list runs dry.
TEST_P(Change, BankQueriesThatLostTheirBestSearchAgain) {
    for (const char* factory : {"Flat", "IVF8,Flat", "RR12,IVF8,Flat"}) {
        for (const idx_t activation_k : {1, 3}) {
            for (const bool from_table : {false, true}) {
                SCOPED_TRACE(testing::Message()
                             << factory << " activation_k " << activation_k
                             << (from_table ? " from a table" : ""));
                const auto base = empty_base(factory, metric, gallery);
                base->add(200, gallery.data.data());
                IndexQBNorm first(base.get());
                first.normalization.activation_k = activation_k;
                first.set_querybank(bank.rows, bank.data.data());
                IndexQBNorm second(base.get());
                second.set_table(*first.table(), bank.rows, bank.data.data());
                IndexQBNorm& index = from_table ? second : first;
                Model model(*base, bank, index.normalization);
                model.add(rows(gallery, 0, 200));
                for (int round = 0; round < 6; round++) {
                    const auto best = model.best_of(7);
                    const std::set<idx_t> top(best.begin(), best.begin() + 4);
                    EXPECT_EQ(remove_from(index, top), 4U);
                    model.remove(top);
                    model.expect_in(index, queries, 10);
                    index.add(1, gallery.view().row(200 + round));
                    model.add(rows(gallery, 200 + round, 201 + round));
                    model.expect_in(index, queries, 10, {Method::dis});
                }
                // All of one query's at once, then nearly all there are.
                const auto best = model.best_of(11);
                const std::set<idx_t> most(best.begin(), best.end() - 2);
                EXPECT_EQ(remove_from(index, most), most.size());
                model.remove(most);
                model.expect_in(index, queries, 10);
            }
        }
    }
}

TEST_P(Change, WithoutTheBankAListMayNotRunDry) {
    for (const char* factory : {"Flat", "IVF8,Flat"}) {
        for (const idx_t activation_k : {1, 3}) {
            const auto base = empty_base(factory, metric, gallery);
            base->add(200, gallery.data.data());
            IndexQBNorm fitting(base.get());
            fitting.normalization.activation_k = activation_k;
            fitting.set_querybank(bank.rows, bank.data.data());
            IndexQBNorm index(base.get());
            index.set_table(*fitting.table());
            Model model(*base, bank, index.normalization);
            model.add(rows(gallery, 0, 200));
            // Of activation_k + 8 listed ones, activation_k must stay.
            for (int round = 0; round < 8; round++) {
                const std::set<idx_t> top{model.best_of(7)[0]};
                EXPECT_EQ(remove_from(index, top), 1U);
                model.remove(top);
                model.expect_in(index, queries, 10);
            }
            const model::Snapshot before(index, queries);
            EXPECT_REFUSED(remove_from(index, {model.best_of(7)[0]}),
                           "too many items were removed");
            EXPECT_EQ(model::Snapshot(index, queries), before);
            model.expect_in(index, queries, 10);
        }
    }
}

}  // namespace
