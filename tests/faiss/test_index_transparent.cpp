// Oracle: the base index itself. With method none, IndexQBNorm is its base.

#include <faiss/AutoTune.h>
#include <faiss/IndexIVF.h>
#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/DistanceComputer.h>
#include <faiss/impl/IDSelector.h>
#include <gtest/gtest.h>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "tests/data.h"
#include "tests/faiss/bases.h"

namespace {

using namespace faiss_qbnorm;

struct Found {
    std::vector<float> distances;
    std::vector<idx_t> labels;
    bool operator==(const Found&) const = default;
};

Found search(const faiss::Index& index, const Matrix& queries, idx_t nq,
             idx_t k, const faiss::SearchParameters* params = nullptr) {
    Found found{std::vector<float>(nq * k, -7), std::vector<idx_t>(nq * k, -7)};
    index.search(nq, queries.data.data(), k, found.distances.data(),
                 found.labels.data(), params);
    return found;
}

class Transparent
    : public testing::TestWithParam<std::tuple<const char*, Metric>> {
  protected:
    Transparent() {
        // Ties: the second half repeats the first.
        Matrix doubled = testdata::unit(400, 32, 1);
        doubled.data.insert(doubled.data.end(), doubled.data.begin(),
                            doubled.data.end());
        doubled.rows *= 2;
        gallery = doubled;
        base = bases::make(std::get<0>(GetParam()), std::get<1>(GetParam()),
                           gallery);
        index = std::make_unique<IndexQBNorm>(base.get());
        index->normalization.method = Method::none;
    }

    Matrix gallery;
    const Matrix queries = testdata::unit(70, 32, 2);
    std::unique_ptr<faiss::Index> base;
    std::unique_ptr<IndexQBNorm> index;
};

INSTANTIATE_TEST_SUITE_P(
    Bases, Transparent,
    testing::Combine(testing::Values("Flat", "IVF16,Flat", "HNSW8,Flat",
                                     "PQ8x4", "SQ8", "IVF16,SQ8", "IVF16,PQ8x4",
                                     "PCA16,IVF16,Flat", "IVF16,PQ8x4fs"),
                     testing::Values(Metric::inner_product, Metric::l2)),
    [](const auto& info) {
        std::string name = std::get<0>(info.param);
        for (char& c : name) {
            if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
        }
        return name + "_" + name_of(std::get<1>(info.param));
    });

TEST_P(Transparent, SearchesAsItsBase) {
    EXPECT_EQ(index->ntotal, base->ntotal);
    EXPECT_EQ(index->d, base->d);
    EXPECT_EQ(index->metric_type, base->metric_type);
    EXPECT_EQ(index->is_trained, base->is_trained);
    for (const idx_t nq : {0, 1, 70}) {
        for (const idx_t k : {1, 10, 1000}) {
            EXPECT_EQ(search(*index, queries, nq, k),
                      search(*base, queries, nq, k));
        }
    }
    std::vector<idx_t> assigned(70);
    std::vector<idx_t> expected(70);
    index->assign(70, queries.data.data(), assigned.data());
    base->assign(70, queries.data.data(), expected.data());
    EXPECT_EQ(assigned, expected);
}

TEST_P(Transparent, StaysSoAfterAddAndReset) {
    index->set_querybank(20, queries.data.data());
    index->normalization.method = Method::none;
    index->add(30, queries.data.data());
    EXPECT_EQ(index->ntotal, 830);
    EXPECT_EQ(base->ntotal, 830);
    EXPECT_EQ(search(*index, queries, 70, 10), search(*base, queries, 70, 10));
    index->reset();
    EXPECT_EQ(index->ntotal, 0);
    EXPECT_EQ(search(*index, queries, 70, 10), search(*base, queries, 70, 10));
}

TEST(TransparentCalls, AreTheBasesOwn) {
    const Matrix gallery = testdata::unit(300, 16, 1);
    const Matrix queries = testdata::unit(5, 16, 2);
    const auto base = bases::make("Flat", Metric::inner_product, gallery);
    IndexQBNorm index(base.get());
    index.normalization.method = Method::none;

    faiss::IDSelectorRange half(0, 150);
    faiss::SearchParameters params;
    params.sel = &half;
    EXPECT_EQ(search(index, queries, 5, 10, &params),
              search(*base, queries, 5, 10, &params));

    faiss::RangeSearchResult ranged(5);
    faiss::RangeSearchResult expected(5);
    index.range_search(5, queries.data.data(), 0.3F, &ranged);
    base->range_search(5, queries.data.data(), 0.3F, &expected);
    ASSERT_EQ(ranged.lims[5], expected.lims[5]);
    ASSERT_GT(ranged.lims[5], 0U);
    for (size_t i = 0; i < ranged.lims[5]; i++) {
        EXPECT_EQ(ranged.labels[i], expected.labels[i]);
    }

    std::vector<float> vector(16);
    index.reconstruct(7, vector.data());
    EXPECT_TRUE(
        std::equal(vector.begin(), vector.end(), gallery.view().row(7)));
    std::vector<float> several(2 * 16);
    index.reconstruct_n(8, 2, several.data());
    EXPECT_TRUE(
        std::equal(several.begin(), several.end(), gallery.view().row(8)));
    const idx_t keys[] = {3, 299};
    index.reconstruct_batch(2, keys, several.data());
    EXPECT_TRUE(std::equal(several.begin() + 16, several.end(),
                           gallery.view().row(299)));

    std::vector<float> residual(16);
    index.compute_residual(gallery.view().row(7), residual.data(), 7);
    EXPECT_EQ(residual, std::vector<float>(16, 0));
    index.compute_residual_n(1, gallery.view().row(3), residual.data(), keys);
    EXPECT_EQ(residual, std::vector<float>(16, 0));

    EXPECT_EQ(index.sa_code_size(), base->sa_code_size());
    std::vector<std::uint8_t> code(index.sa_code_size());
    index.sa_encode(1, gallery.view().row(5), code.data());
    index.sa_decode(1, code.data(), vector.data());
    EXPECT_TRUE(
        std::equal(vector.begin(), vector.end(), gallery.view().row(5)));

    const std::unique_ptr<faiss::DistanceComputer> computer(
        index.get_distance_computer());
    computer->set_query(queries.data.data());
    const Found found = search(*base, queries, 1, 1);
    EXPECT_NEAR((*computer)(found.labels[0]), found.distances[0], 1e-6);

    Found with_vectors{std::vector<float>(5), std::vector<idx_t>(5)};
    std::vector<float> recons(5 * 16);
    index.search_and_reconstruct(5, queries.data.data(), 1,
                                 with_vectors.distances.data(),
                                 with_vectors.labels.data(), recons.data());
    EXPECT_EQ(with_vectors, search(*base, queries, 5, 1));

    const faiss::IDSelectorRange first(0, 1);
    EXPECT_EQ(index.remove_ids(first), 1U);
    EXPECT_EQ(index.ntotal, 299);
    const auto other = bases::make("Flat", Metric::inner_product, gallery);
    index.check_compatible_for_merge(*other);
    index.merge_from(*other);
    EXPECT_EQ(index.ntotal, 599);
}

TEST(TransparentCalls, PassIdsToTheBase) {
    const Matrix gallery = testdata::unit(3, 16, 1);
    const std::unique_ptr<faiss::Index> base(
        faiss::index_factory(16, "IDMap,Flat"));
    IndexQBNorm index(base.get());
    index.normalization.method = Method::none;
    const idx_t ids[] = {1000, 2000, 3000};
    index.add_with_ids(3, gallery.data.data(), ids);
    EXPECT_EQ(index.ntotal, 3);
    EXPECT_EQ(search(index, gallery, 3, 1).labels,
              (std::vector<idx_t>{1000, 2000, 3000}));
}

TEST(TransparentCalls, TrainTheBase) {
    const Matrix gallery = testdata::unit(400, 16, 1);
    const std::unique_ptr<faiss::Index> base(
        faiss::index_factory(16, "IVF4,Flat"));
    IndexQBNorm index(base.get());
    EXPECT_FALSE(index.is_trained);
    index.train(400, gallery.data.data());
    EXPECT_TRUE(index.is_trained);
}

TEST(Ownership, IsAsInFaiss) {
    struct Counted : faiss::Index {
        int& alive;
        explicit Counted(int& alive) : Index(4), alive(alive) { alive++; }
        ~Counted() override { alive--; }
        void add(idx_t, const float*) override {}
        void search(idx_t, const float*, idx_t, float*, idx_t*,
                    const faiss::SearchParameters*) const override {}
        void reset() override {}
    };
    int alive = 0;
    Counted mine(alive);
    { const IndexQBNorm index(&mine); }
    EXPECT_EQ(alive, 1);
    {
        IndexQBNorm owner(new Counted(alive));
        owner.own_fields = true;
        EXPECT_EQ(alive, 2);
    }
    EXPECT_EQ(alive, 1);
}

}  // namespace
