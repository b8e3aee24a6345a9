// What FAISS added to faiss::Index after 1.7.3; nothing is left of this file
// where the FAISS that it is compiled against is older. Oracle: the same call
// in its older form, and the base itself.

#include "faiss_qbnorm/faiss/built_against.h"

#if QBNORM_FAISS_VERSION >= 11402

#include <faiss/IndexFlat.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/ResultHandler.h>
#include <gtest/gtest.h>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "tests/data.h"
#include "tests/faiss/bases.h"
#include "tests/oracle.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

constexpr idx_t items = 300;
constexpr idx_t nq = 20;
constexpr idx_t k = 5;
constexpr int d = 16;

/// A base that has every one of these calls, and notes which came.
struct Modern : faiss::IndexFlatIP {
    using IndexFlatIP::IndexFlatIP;
    std::vector<std::string> calls;

    void train_ex(idx_t, const void*, faiss::NumericType) override {
        calls.emplace_back("train_ex");
    }
    void add_ex(idx_t, const void*, faiss::NumericType) override {
        calls.emplace_back("add_ex");
    }
    void add_with_ids_ex(idx_t, const void*, faiss::NumericType,
                         const idx_t*) override {
        calls.emplace_back("add_with_ids_ex");
    }
    void search_ex(idx_t n, const void*, faiss::NumericType, idx_t k, float*,
                   idx_t* labels,
                   const faiss::SearchParameters*) const override {
        std::fill_n(labels, n * k, 7);
    }
    void search1(const float*, faiss::ResultHandler& handler,
                 faiss::SearchParameters*) const override {
        handler.add_result(0.5F, 7);
    }
    void train_with_queries(idx_t, const float*, idx_t, const float*) override {
        calls.emplace_back("train_with_queries");
        is_trained = true;
    }
    void add_sa_codes(idx_t, const std::uint8_t*, const idx_t*) override {
        calls.emplace_back("add_sa_codes");
    }
    void search_subset(idx_t n, const float* x, idx_t k_base,
                       const idx_t* base_labels, idx_t k, float* distances,
                       idx_t* labels) const override {
        for (idx_t i = 0; i < n; i++) {
            std::vector<std::pair<float, idx_t>> found;
            for (idx_t j = 0; j < k_base; j++) {
                const idx_t label = base_labels[i * k_base + j];
                if (label < 0) continue;
                found.emplace_back(exact_score(Metric::inner_product, x + i * d,
                                               get_xb() + label * d, d),
                                   label);
            }
            std::sort(found.rbegin(), found.rend());
            for (idx_t j = 0; j < k; j++) {
                const bool here = j < static_cast<idx_t>(found.size());
                distances[i * k + j] = here ? found[j].first : -FLT_MAX;
                labels[i * k + j] = here ? found[j].second : -1;
            }
        }
    }
};

class LaterVirtuals : public testing::Test {
  protected:
    void SetUp() override { base.add(items, gallery.data.data()); }

    const Matrix gallery = testdata::unit(items, d, 1);
    const Matrix queries = testdata::unit(nq, d, 2);
    const Matrix bank = testdata::unit(60, d, 3);
    Modern base{d};
    IndexQBNorm index{&base};
    std::vector<float> distances = std::vector<float>(nq * k);
    std::vector<idx_t> labels = std::vector<idx_t>(nq * k);
    const std::vector<std::uint16_t> half = std::vector<std::uint16_t>(nq * d);

    void fit() { index.set_querybank(bank.rows, bank.data.data()); }
};

TEST_F(LaterVirtuals, AreTheBasesOwnBeforeAFit) {
    index.normalization.method = Method::none;
    constexpr auto fp16 = faiss::NumericType::Float16;
    index.train_ex(nq, half.data(), fp16);
    index.add_ex(nq, half.data(), fp16);
    index.add_with_ids_ex(nq, half.data(), fp16, labels.data());
    index.add_sa_codes(0, nullptr, nullptr);
    index.train_with_queries(nq, queries.data.data(), nq, bank.data.data());
    EXPECT_EQ(base.calls,
              (std::vector<std::string>{"train_ex", "add_ex", "add_with_ids_ex",
                                        "add_sa_codes", "train_with_queries"}));
    index.search_ex(nq, half.data(), fp16, k, distances.data(), labels.data());
    EXPECT_EQ(labels, std::vector<idx_t>(nq * k, 7));
}

TEST_F(LaterVirtuals, TakeFloat32AsTheOlderCallsDo) {
    fit();
    constexpr auto fp32 = faiss::NumericType::Float32;
    index.search_ex(nq, queries.data.data(), fp32, k, distances.data(),
                    labels.data());
    std::vector<idx_t> expected(nq * k);
    index.search(nq, queries.data.data(), k, distances.data(), expected.data());
    EXPECT_EQ(labels, expected);
    index.train_ex(nq, queries.data.data(), fp32);
    index.add_ex(nq, queries.data.data(), fp32);
    EXPECT_EQ(index.ntotal, items + nq);
    EXPECT_EQ(index.table()->gallery_size, items + nq);
    EXPECT_TRUE(base.calls.empty());
}

TEST_F(LaterVirtuals, RefuseWhatAFitCannotFollow) {
    fit();
    constexpr auto fp16 = faiss::NumericType::Float16;
    const auto refused = [&](auto call, const char* sentence) {
        EXPECT_THROW_SAYING(call(), faiss::FaissException, sentence);
    };
    refused([&] { index.train_ex(nq, half.data(), fp16); }, "convert");
    refused([&] { index.add_ex(nq, half.data(), fp16); }, "convert");
    refused(
        [&] { index.add_with_ids_ex(nq, half.data(), fp16, labels.data()); },
        "convert");
    refused(
        [&] {
            index.search_ex(nq, half.data(), fp16, k, distances.data(),
                            labels.data());
        },
        "float32");
    refused([&] { index.add_sa_codes(0, nullptr, nullptr); }, "sa_decode");
    EXPECT_TRUE(base.calls.empty());
}

TEST_F(LaterVirtuals, Search1HasNoGate) {
    fit();
    struct Handler : faiss::ResultHandler {
        idx_t label = -1;
        bool add_result(float, idx_t i) override {
            label = i;
            return true;
        }
    } handler;
    EXPECT_THROW_SAYING(index.search1(queries.data.data(), handler),
                        faiss::FaissException, "use search");
    index.normalization.method = Method::none;
    index.search1(queries.data.data(), handler);
    EXPECT_EQ(handler.label, 7);
}

TEST_F(LaterVirtuals, TrainingWithQueriesFits) {
    base.is_trained = false;
    fit();
    EXPECT_EQ(index.table(), nullptr);
    index.train_with_queries(items, gallery.data.data(), nq,
                             queries.data.data());
    ASSERT_NE(index.table(), nullptr);
    EXPECT_EQ(index.table()->gallery_size, items);
}

TEST_F(LaterVirtuals, SearchSubsetRanksTheGivenLabels) {
    fit();
    constexpr idx_t k_base = 40;
    std::vector<idx_t> given;
    for (idx_t i = 0; i < nq; i++) {
        for (idx_t j = 0; j < k_base; j++) {
            given.push_back(j == 17 ? -1 : (i * 31 + j * 7) % items);
        }
    }
    const oracle::Reference reference(Metric::inner_product, gallery.view(),
                                      queries.view(), bank.view(), 20, 1);
    for (const Method method : {Method::is, Method::dis, Method::none}) {
        index.normalization.method = method;
        index.search_subset(nq, queries.data.data(), k_base, given.data(), k,
                            distances.data(), labels.data());
        for (idx_t i = 0; i < nq; i++) {
            oracle::Row row(items, -1e30);
            for (idx_t j = i * k_base; j < (i + 1) * k_base; j++) {
                if (given[j] >= 0) row[given[j]] = reference.raw[i][given[j]];
            }
            oracle::expect_ranking(
                oracle::method_scores(method, row, reference.offsets,
                                      reference.activation),
                k, &distances[i * k], &labels[i * k], 1e-5);
        }
    }
}

}  // namespace

#endif
