// Scans of compressed lists, bit for bit. Oracle: FAISS's own distances of all
// that its search reaches (k = ntotal), normalised and sorted here; for labels
// beyond the table the documented error.

#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexScalarQuantizer.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/IDSelector.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "tests/data.h"
#include "tests/faiss/bases.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

constexpr int d = 8;
constexpr idx_t nq = 12;
constexpr idx_t items = 13000;  // more than a scan keeps at once

struct Answer {
    std::vector<float> distances;
    std::vector<idx_t> labels;

    bool operator==(const Answer&) const = default;
};

Answer search(const faiss::Index& index, const Matrix& queries, idx_t first,
              idx_t last, idx_t k, const faiss::SearchParameters* params) {
    Answer answer{std::vector<float>((last - first) * k),
                  std::vector<idx_t>((last - first) * k)};
    index.search(last - first, queries.view().row(first), k,
                 answer.distances.data(), answer.labels.data(), params);
    return answer;
}

class IvfScan : public testing::TestWithParam<Metric> {
  protected:
    const Metric metric = GetParam();
    const Matrix gallery = testdata::unit(items, d, 1);
    const Matrix queries = testdata::unit(nq, d, 2);
    const Matrix bank = testdata::unit(100, d, 3);
    faiss::SearchParametersIVF params;
    idx_t open = 0;
    idx_t closed = 0;

    void SetUp() override { params.nprobe = 3; }

    /// Codes of few bits: many items are level.
    std::unique_ptr<faiss::Index> base_of(const std::string& factory,
                                          bool by_residual) const {
        std::unique_ptr<faiss::Index> base(faiss::index_factory(
            d, factory.c_str(), bases::faiss_metric(metric)));
        auto& ivf = dynamic_cast<faiss::IndexIVF&>(*base);
        if (auto* pq = dynamic_cast<faiss::IndexIVFPQ*>(&ivf)) {
            pq->by_residual = by_residual;
        }
        if (auto* sq = dynamic_cast<faiss::IndexIVFScalarQuantizer*>(&ivf)) {
            sq->by_residual = by_residual;
        }
        base->train(2000, gallery.data.data());
        base->add(items, gallery.data.data());
        return base;
    }

    /// What a query's answer should be, of all that FAISS reaches.
    Answer expected(const IndexQBNorm& index, const Answer& all, idx_t query,
                    idx_t k) {
        const float sign = metric == Metric::l2 ? -1.0F : 1.0F;
        std::vector<std::pair<float, idx_t>> ranked;
        for (idx_t i = query * items; i < (query + 1) * items; i++) {
            if (all.labels[i] < 0) continue;
            ranked.emplace_back(-sign * all.distances[i], all.labels[i]);
        }
        const auto top1 = std::min_element(ranked.begin(), ranked.end());
        const BankColumn& column = index.table()->columns.front();
        const bool is_open =
            index.normalization.method == Method::is ||
            (top1 != ranked.end() && column.activation.contains(top1->second));
        (is_open ? open : closed)++;
        for (auto& [negated, label] : ranked) {
            if (is_open) negated += column.offsets[label];
        }
        std::sort(ranked.begin(), ranked.end());
        Answer answer;
        for (idx_t i = 0; i < k; i++) {
            const bool is = i < static_cast<idx_t>(ranked.size());
            answer.labels.push_back(is ? ranked[i].second : -1);
            answer.distances.push_back(
                is ? -sign * ranked[i].first
                   : -sign * std::numeric_limits<float>::max());
        }
        return answer;
    }

    void expect_exact(const faiss::Index& base, IndexQBNorm& index, idx_t k) {
        const Answer all = search(base, queries, 0, nq, items, &params);
        const auto reached =
            std::count_if(all.labels.begin(), all.labels.end(),
                          [](idx_t label) { return label >= 0; });
        for (const Method method : {Method::is, Method::dis}) {
            index.normalization.method = method;
            QBNormSearchStats stats;
            SearchParametersQBNorm with_stats;
            with_stats.base_index_params = &params;
            with_stats.stats = &stats;
            const Answer got = search(index, queries, 0, nq, k, &with_stats);
            EXPECT_EQ(stats.candidates, reached);
            for (idx_t i = 0; i < nq; i++) {
                const Answer right = expected(index, all, i, k);
                for (idx_t j = 0; j < k; j++) {
                    ASSERT_EQ(got.labels[i * k + j], right.labels[j])
                        << "query " << i << " rank " << j;
                    ASSERT_EQ(got.distances[i * k + j], right.distances[j])
                        << "query " << i << " rank " << j;
                }
            }
        }
    }

    void fit(IndexQBNorm& index) const {
        index.set_querybank(bank.rows, bank.data.data(), gallery.data.data());
    }
};

INSTANTIATE_TEST_SUITE_P(Metrics, IvfScan,
                         testing::Values(Metric::inner_product, Metric::l2));

TEST_P(IvfScan, AnswersByFaisssDistancesBitForBit) {
    for (const char* factory : {"IVF4,PQ4x4np", "IVF4,PQ4x8np", "IVF4,PQ2x6np",
                                "IVF4,SQ4", "IVF4,SQ8", "IVF4,SQfp16"}) {
        for (const bool by_residual : {false, true}) {
            const auto base = base_of(factory, by_residual);
            IndexQBNorm index(base.get());
            fit(index);
            for (const idx_t k : {1, 10, 100, 5000}) {
                SCOPED_TRACE(testing::Message()
                             << factory << by_residual << " k " << k);
                expect_exact(*base, index, k);
            }
        }
    }
    EXPECT_GT(open, 0);
    EXPECT_GT(closed, 0);
}

TEST_P(IvfScan, TakesSelectorsAndMaxCodes) {
    std::mt19937 random(5);
    std::vector<idx_t> some;  // runs of one, two, many
    for (idx_t i = 0; i < items; i++) {
        if (random() % 4 != 0 || i / 1000 % 2) some.push_back(i);
    }
    faiss::IDSelectorBatch selector(some.size(), some.data());
    faiss::IDSelectorRange sorted(500, 9000, true);
    for (const char* factory : {"IVF4,PQ4x4np", "IVF4,SQ8"}) {
        SCOPED_TRACE(factory);
        const auto base = base_of(factory, true);
        IndexQBNorm index(base.get());
        fit(index);
        for (faiss::IDSelector* sel :
             {static_cast<faiss::IDSelector*>(&selector),
              static_cast<faiss::IDSelector*>(&sorted)}) {
            params.sel = sel;
            params.max_codes = 0;
            expect_exact(*base, index, 10);
            params.max_codes = 5000;
            expect_exact(*base, index, 10);
        }
        params.sel = nullptr;
        params.max_codes = 5000;
        expect_exact(*base, index, 10);
    }
}

TEST_P(IvfScan, AnswersDoNotDependOnTheBatch) {
    constexpr idx_t k = 5;
    const Matrix many = testdata::unit(1500, d, 7);
    const auto base = base_of("IVF16,SQ8", false);
    IndexQBNorm index(base.get());
    fit(index);
    const Answer whole = search(index, many, 0, many.rows, k, &params);
    Answer parts;
    for (idx_t first = 0; first < many.rows; first += 100) {
        const Answer part = search(index, many, first, first + 100, k, &params);
        parts.labels.insert(parts.labels.end(), part.labels.begin(),
                            part.labels.end());
        parts.distances.insert(parts.distances.end(), part.distances.begin(),
                               part.distances.end());
    }
    EXPECT_EQ(whole, parts);
}

TEST_P(IvfScan, RefusesLabelsBeyondTheTable) {
    for (const char* factory : {"IVF4,Flat", "IVF4,SQ8", "IVF4,PQ4x4np"}) {
        const auto base = base_of(factory, true);
        IndexQBNorm index(base.get());
        fit(index);
        for (const idx_t wrong : {items, idx_t{1} << 40, idx_t{-7}}) {
            SCOPED_TRACE(testing::Message() << factory << wrong);
            // Behind the index's back.
            base->remove_ids(faiss::IDSelectorRange(5, 6));
            base->add_with_ids(1, gallery.view().row(5), &wrong);
            params.nprobe = 4;
            EXPECT_THROW_SAYING(search(index, queries, 0, nq, 3, &params),
                                faiss::FaissException,
                                "holds label " + std::to_string(wrong) +
                                    " but the table covers 13000 items");
            base->remove_ids(faiss::IDSelectorBatch(1, &wrong));
            const idx_t right = 5;
            base->add_with_ids(1, gallery.view().row(5), &right);
        }
        search(index, queries, 0, nq, 3, &params);
    }
}

}  // namespace
