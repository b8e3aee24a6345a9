// Oracle: choose_beta over the vectors themselves, which tests/tune hold to a
// transcription; and an index that is given what it chose.

#include <faiss/IndexIVF.h>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "faiss_qbnorm/gallery.h"
#include "faiss_qbnorm/similarities/vector_similarities.h"
#include "tests/faiss/wrapped.h"

namespace {

using namespace wrapped_data;

const Matrix live = testdata::unit(300, 16, 6);

BetaChoice right_choice(Metric metric, bool with_queries,
                        std::optional<Method> method) {
    const MemoryGallery items(gallery.view());
    const VectorSimilarities of_bank(metric, items, bank.view(), "bank");
    const VectorSimilarities of_live(metric, items, live.view(), "live");
    return choose_beta(of_bank, with_queries ? &of_live : nullptr, method);
}

BetaChoice choose(IndexQBNorm& index, bool with_queries = true,
                  std::optional<Method> method = {},
                  const float* originals = nullptr) {
    return index.set_querybank_auto(
        bank.rows, bank.data.data(), with_queries ? live.rows : 0,
        with_queries ? live.data.data() : nullptr, method, originals);
}

TEST(IndexAuto, ChoosesAndFits) {
    for (const Metric metric : metrics) {
        for (const char* factory :
             {"Flat", "IVF4,Flat", "HNSW8", "L2norm,Flat"}) {
            for (const bool with_queries : {true, false}) {
                SCOPED_TRACE(std::string(factory) + " " + name_of(metric) +
                             (with_queries ? "" : ", the bank alone"));
                const auto base = bases::make(factory, metric, gallery);
                IndexQBNorm index(base.get());
                const BetaChoice choice = choose(index, with_queries);
                const BetaChoice right = right_choice(metric, with_queries, {});
                EXPECT_EQ(choice.method, right.method);
                EXPECT_NEAR(choice.beta, right.beta, 1e-3F * right.beta);
                EXPECT_EQ(choice.held_out, !with_queries);
                EXPECT_EQ(index.normalization.method, choice.method);
                EXPECT_EQ(index.normalization.beta, choice.beta);

                IndexQBNorm told(base.get());
                told.normalization =
                    Normalization(choice.method, choice.beta, 1);
                told.set_querybank(bank.rows, bank.data.data());
                EXPECT_EQ(answers(index), answers(told));
            }
        }
    }
}

TEST(IndexAuto, ChoosesBetaForAMethod) {
    const auto base = bases::make("Flat", Metric::inner_product, gallery);
    for (const Method method : {Method::is, Method::dis}) {
        IndexQBNorm index(base.get());
        const BetaChoice choice = choose(index, true, method);
        EXPECT_EQ(choice.method, method);
        EXPECT_EQ(choice.beta,
                  right_choice(Metric::inner_product, true, method).beta);
    }
}

TEST(IndexAuto, TakesOriginalsOfALossyBase) {
    const auto base = bases::make("SQ4", Metric::inner_product, gallery);
    IndexQBNorm index(base.get());
    const BetaChoice choice = choose(index, true, {}, gallery.data.data());
    EXPECT_EQ(choice.beta, right_choice(Metric::inner_product, true, {}).beta);
}

TEST(IndexAuto, StaysAsItWasWhereItFails) {
    const auto base = bases::make("Flat", Metric::inner_product, gallery);
    IndexQBNorm index(base.get());
    index.set_querybank(bank.rows, bank.data.data());
    const Answered before = answers(index);
    const Normalization normalization = index.normalization;
    Matrix bad = live;
    bad.data[7] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_REFUSED(index.set_querybank_auto(bank.rows, bank.data.data(),
                                            bad.rows, bad.data.data()),
                   "queries");
    EXPECT_REFUSED(
        index.set_querybank_auto(0, nullptr, live.rows, live.data.data()),
        "the querybank is empty");
    EXPECT_REFUSED(choose(index, true, Method::csls), "csls");
    EXPECT_EQ(index.normalization, normalization);
    EXPECT_EQ(answers(index), before);

    base->reset();
    IndexQBNorm empty(base.get());
    EXPECT_REFUSED(choose(empty), "it holds none; add them first");
}

}  // namespace
