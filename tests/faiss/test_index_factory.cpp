// Oracle: faiss::index_factory, and an IndexQBNorm made by hand.

#include <faiss/AutoTune.h>
#include <faiss/IVFlib.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/IndexRefine.h>
#include <faiss/impl/FaissException.h>
#include <gtest/gtest.h>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "faiss_qbnorm/index_factory.h"
#include "tests/data.h"
#include "tests/faiss/bases.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

const Matrix gallery = testdata::unit(400, 16, 1);
const Matrix queries = testdata::unit(20, 16, 2);
const Matrix bank = testdata::unit(60, 16, 3);

std::unique_ptr<faiss::Index> made(
    const char* text, faiss::MetricType metric = faiss::METRIC_INNER_PRODUCT) {
    return std::unique_ptr<faiss::Index>(
        qbnorm_index_factory(16, text, metric));
}

std::vector<idx_t> labels_of(const faiss::Index& index) {
    std::vector<float> distances(20 * 10);
    std::vector<idx_t> labels(20 * 10);
    index.search(20, queries.data.data(), 10, distances.data(), labels.data());
    return labels;
}

TEST(IndexFactory, WrapsWhatFaissMakes) {
    for (const char* text : {"Flat", "IVF4,Flat", "SQ8", "PCA8,IVF4,SQ8",
                             "IVF4,PQ4x4np", "IVF4,SQ4,RFlat"}) {
        SCOPED_TRACE(text);
        const auto index = made((std::string(text) + ",QBNorm").c_str());
        auto* wrapper = dynamic_cast<IndexQBNorm*>(index.get());
        ASSERT_NE(wrapper, nullptr);
        EXPECT_TRUE(wrapper->own_fields);
        EXPECT_EQ(wrapper->d, 16);
        EXPECT_EQ(wrapper->metric_type, faiss::METRIC_INNER_PRODUCT);
        const std::unique_ptr<faiss::Index> plain(
            faiss::index_factory(16, text, faiss::METRIC_INNER_PRODUCT));
        const faiss::Index& base = *wrapper->base_index;
        EXPECT_EQ(typeid(base), typeid(*plain));
        // From nothing: bank, training, items.
        wrapper->set_querybank(bank.rows, bank.data.data());
        wrapper->train(gallery.rows, gallery.data.data());
        wrapper->add(gallery.rows, gallery.data.data());
        plain->train(gallery.rows, gallery.data.data());
        plain->add(gallery.rows, gallery.data.data());
        IndexQBNorm by_hand(plain.get());
        by_hand.set_querybank(bank.rows, bank.data.data(), gallery.data.data());
        EXPECT_EQ(labels_of(*wrapper), labels_of(by_hand));
    }
}

TEST(IndexFactory, WrapsInsideAnIdMap) {
    const auto index = made("IDMap2,IVF4,Flat,QBNorm", faiss::METRIC_L2);
    auto* map = dynamic_cast<faiss::IndexIDMap2*>(index.get());
    ASSERT_NE(map, nullptr);
    auto* inside = dynamic_cast<IndexQBNorm*>(map->index);
    ASSERT_NE(inside, nullptr);
    EXPECT_NE(dynamic_cast<faiss::IndexIVFFlat*>(inside->base_index), nullptr);
    inside->set_querybank(bank.rows, bank.data.data());
    map->train(gallery.rows, gallery.data.data());
    std::vector<idx_t> ids(gallery.rows);
    for (idx_t i = 0; i < gallery.rows; i++) ids[i] = 7 * i + 100000;
    map->add_with_ids(gallery.rows, gallery.data.data(), ids.data());
    for (const idx_t id : labels_of(*map)) EXPECT_EQ(id % 7, 100000 % 7);
}

TEST(IndexFactory, LeavesOtherStringsToFaiss) {
    const auto index = made("IVF4,Flat");
    EXPECT_NE(dynamic_cast<faiss::IndexIVFFlat*>(index.get()), nullptr);
}

TEST(IndexFactory, RefusesWhatItCannotMake) {
    EXPECT_THROW_SAYING(made("Nonsense,QBNorm"), faiss::FaissException,
                        "Nonsense");
    EXPECT_THROW_SAYING(made("LSH,QBNorm", faiss::METRIC_L2),
                        faiss::FaissException, "Hamming");
    EXPECT_THROW_SAYING(made("IDMap,LSH,QBNorm", faiss::METRIC_L2),
                        faiss::FaissException, "Hamming");
    EXPECT_THROW_SAYING(made("Flat,QBNorm", faiss::METRIC_L1),
                        faiss::FaissException, "neither inner product nor L2");
    EXPECT_THROW(made(",QBNorm"), faiss::FaissException);
}

// Tuning and extraction look at concrete types: give them base_index.
TEST(IndexFactory, TheBaseIsThereToTuneAndExtract) {
    const auto index = made("PCA8,IVF4,Flat,QBNorm");
    auto& wrapper = dynamic_cast<IndexQBNorm&>(*index);
    faiss::ParameterSpace().set_index_parameter(wrapper.base_index, "nprobe",
                                                3);
    EXPECT_EQ(faiss::ivflib::extract_index_ivf(wrapper.base_index)->nprobe, 3);
}

}  // namespace
