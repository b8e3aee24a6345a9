// Oracle: the answers, tables and additions of the index before it was
// written; FAISS's own reader for what the flags do. The layout of the file
// is held in test_index_file.cpp.

#include <faiss/IndexFlat.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexShards.h>
#include <faiss/impl/io.h>
#include <faiss/index_io.h>
#include <faiss/invlists/OnDiskInvertedLists.h>
#include <gtest/gtest.h>

#include <numeric>
#include <typeinfo>

#include "faiss_qbnorm/cpu/engine_cpu.h"
#include "faiss_qbnorm/faiss/id_map.h"
#include "faiss_qbnorm/faiss/unwrap.h"
#include "faiss_qbnorm/fit.h"
#include "faiss_qbnorm/io/index_file.h"
#include "tests/faiss/index_files.h"
#include "tests/full_disk.h"

namespace {

using namespace index_files;

// ---- round trips ----

TEST_F(IndexFiles, AnswerAsBefore) {
    for (const char* factory :
         {"Flat", "SQ8", "IVF8,Flat", "IVF8,SQ8", "IVF8,PQ4x4", "HNSW8,Flat",
          "PCA8,Flat", "RR16,IVF8,Flat", "PCA12,RR12,SQ8", "L2norm,Flat"}) {
        for (const Metric metric : metrics) {
            for (const Method method : {Method::is, Method::dis}) {
                SCOPED_TRACE(std::string(factory) + " " + name_of(metric) +
                             " " + name_of(method));
                const auto index = fitted(factory, metric, method);
                const Index again = written_and_read(*index);
                EXPECT_EQ(typeid(*again), typeid(IndexQBNorm));
                EXPECT_EQ(again->d, 16);
                EXPECT_EQ(again->ntotal, 600);
                EXPECT_EQ(again->metric_type, index->metric_type);
                EXPECT_TRUE(again->is_trained);
                EXPECT_TRUE(qbnorm_in(*again)->own_fields);
                const faiss::Index& base = *qbnorm_in(*again)->base_index;
                EXPECT_TRUE(bytes_of(base) == bytes_of(*index->base_index));
                EXPECT_EQ(answers(*again), answers(*index));
            }
        }
    }
}

TEST_F(IndexFiles, AnIdMapAroundComesAlong) {
    const auto expect_same = [&](auto map) {
        map->index = fitted("IVF8,Flat", Metric::l2).release();
        map->own_fields = true;
        map->d = 16;
        map->metric_type = faiss::METRIC_L2;
        map->ntotal = 600;
        map->id_map = some_ids(600);
        const Index again = written_and_read(*map);
        EXPECT_EQ(typeid(*again), typeid(*map));
        EXPECT_TRUE(dynamic_cast<faiss::IndexIDMap&>(*again).own_fields);
        EXPECT_EQ(answers(*again), answers(*map));
        const auto ids = some_ids(650);
        again->add_with_ids(50, more.data.data(), ids.data() + 600);
        map->add_with_ids(50, more.data.data(), ids.data() + 600);
        EXPECT_EQ(again->ntotal, 650);
        EXPECT_EQ(answers(*again), answers(*map));
        return again->d == 16 ? written_and_read(*again) : nullptr;
    };
    expect_same(std::make_unique<faiss::IndexIDMap>());
    const Index again = expect_same(std::make_unique<faiss::IndexIDMap2>());
    auto& map = dynamic_cast<faiss::IndexIDMap2&>(*again);
    map.check_consistency();
    dynamic_cast<faiss::IndexIVF&>(*qbnorm_in(map)->base_index)
        .make_direct_map();
    std::vector<float> vector(16);
    again->reconstruct(1000 - 7 * 37, vector.data());
    EXPECT_TRUE(
        std::equal(vector.begin(), vector.end(), gallery.view().row(37)));
}

TEST_F(IndexFiles, TheBankComesAlong) {
    for (const char* factory : {"Flat", "IVF8,Flat", "RR16,SQ8"}) {
        for (const Metric metric : metrics) {
            const auto index = fitted(factory, metric);
            const Index again = written_and_read(*index);
            index->add(more.rows, more.data.data());
            again->add(more.rows, more.data.data());
            EXPECT_EQ(again->ntotal, 650);
            EXPECT_EQ(answers(*again), answers(*index));
            index->reset();
            again->reset();
            EXPECT_EQ(answers(*written_and_read(*again)), answers(*index));
            index->add(more.rows, more.data.data());
            again->add(more.rows, more.data.data());
            EXPECT_EQ(answers(*again), answers(*index));
        }
    }
}

TEST_F(IndexFiles, SettingsComeAlong) {
    const auto index = fitted("HNSW8,Flat", Metric::inner_product);
    index->k_factor = 1.5;
    index->min_candidates = 11;
    for (const Method method : {Method::none, Method::is}) {
        index->normalization.method = method;
        write(*index);
        const auto again = read_qbnorm();
        EXPECT_EQ(again->normalization, index->normalization);
        EXPECT_EQ(again->k_factor, 1.5F);
        EXPECT_EQ(again->min_candidates, 11);
        EXPECT_EQ(answers(*again), answers(*index));
    }
    index->normalization.beta = 3;  // that the table was not fitted with
    const Index again = written_and_read(*index);
    EXPECT_REFUSED(answers(*again), "call set_querybank again");
}

TEST_F(IndexFiles, ATableWithoutItsBankComesAlong) {
    FitOptions options;
    IndexQBNorm index(
        bases::make("Flat", Metric::inner_product, gallery).release());
    index.own_fields = true;
    index.set_table(fit(*make_engine_cpu(), MemoryGallery(gallery.view()),
                        bank.view(), options));
    const Index again = written_and_read(index);
    EXPECT_EQ(answers(*again), answers(index));
    EXPECT_REFUSED(again->add(1, more.data.data()), "without its querybank");
}

TEST_F(IndexFiles, WhatIsNotFittedYetComesAlong) {
    const auto empty = [] {
        return owning(Index(faiss::index_factory(16, "SQ8", faiss::METRIC_L2)));
    };
    const Index raw = written_and_read(*empty());
    EXPECT_FALSE(raw->is_trained);
    EXPECT_EQ(qbnorm_in(*raw)->table(), nullptr);

    const auto index = empty();
    index->normalization = {Method::is, 7, 3};
    index->set_querybank(bank.rows, bank.data.data());  // train() will fit
    const Index again = written_and_read(*index);
    EXPECT_EQ(qbnorm_in(*again)->querybank().rows, 90);
    for (faiss::Index* each :
         {again.get(), raw.get(), static_cast<faiss::Index*>(index.get())}) {
        each->train(gallery.rows, gallery.data.data());
        each->add(gallery.rows, gallery.data.data());
    }
    EXPECT_EQ(answers(*again), answers(*index));
    EXPECT_EQ(qbnorm_in(*raw)->table(), nullptr);
}

// set_table would not take the table back: the base holds other vectors than
// those it was fitted with, as another BLAS's rounding makes them.
TEST_F(IndexFiles, TheFileSaysWhatBelongsTogether) {
    Matrix originals = gallery;
    for (float& x : originals.data) x *= 1 + 1e-6F;
    auto index = owning(bases::make("PCA8,Flat", Metric::l2, gallery));
    index->set_querybank(bank.rows, bank.data.data(), originals.data.data());
    EXPECT_REFUSED(IndexQBNorm(index->base_index).set_table(*index->table()),
                   "transforms change the scores");
    EXPECT_EQ(answers(*written_and_read(*index)), answers(*index));
}

TEST_F(IndexFiles, TheEngineIsTheOneThatIsGiven) {
    write(*fitted("Flat", Metric::l2));
    const std::shared_ptr<const Engine> engine = make_engine_cpu();
    const Index index(read_index_qbnorm(path_.c_str(), 0, engine));
    EXPECT_EQ(&qbnorm_in(*index)->engine(), engine.get());
}

// Without a flag nothing is left in the file, which may change then.
TEST_F(IndexFiles, TheFileIsNotNeededAnyMore) {
    const auto index = fitted("IVF8,Flat", Metric::l2);
    const Index again = written_and_read(*index);
    std::filesystem::resize_file(path_, 0);
    index->add(more.rows, more.data.data());
    again->add(more.rows, more.data.data());
    EXPECT_EQ(answers(*again), answers(*index));
}

TEST_F(IndexFiles, ReplaceTheFileTheyWereReadFrom) {
    if (!can_map) GTEST_SKIP();
    const auto index = fitted("IVF8,Flat", Metric::l2);
    write(*index);
    const Index mapped = read(faiss::IO_FLAG_MMAP);
    // FAISS would write a file without the lists in place of that with them.
    EXPECT_REFUSED(write(*mapped), "read it without IO_FLAG_MMAP");
    EXPECT_EQ(answers(*read()), answers(*index));
    const Index whole = read();
    write(*fitted("Flat", Metric::inner_product));
    EXPECT_EQ(answers(*mapped), answers(*index));
    write(*whole);
    EXPECT_EQ(answers(*read()), answers(*index));
}

// ---- FAISS's flags, and FAISS's files ----

TEST_F(IndexFiles, MmapLeavesTheListsInTheFile) {
    if (!can_map) GTEST_SKIP();
    for (const char* factory : {"IVF8,Flat", "RR16,IVF8,SQ8", "IVF8,PQ4x4"}) {
        for (const Metric metric : metrics) {
            const auto index = fitted(factory, metric);
            write(*index);
            const Index mapped = read(faiss::IO_FLAG_MMAP);
            EXPECT_EQ(typeid(lists_of(*mapped)),
                      typeid(faiss::OnDiskInvertedLists));
            EXPECT_EQ(answers(*mapped), answers(*index));
            EXPECT_EQ(typeid(lists_of(*read())),
                      typeid(faiss::ArrayInvertedLists));
        }
    }
    for (const char* factory : {"Flat", "HNSW8,Flat"}) {  // not mapped in 1.7.3
        const auto index = fitted(factory, Metric::l2);
        write(*index);
        const Index again = read(faiss::IO_FLAG_MMAP);
        EXPECT_EQ(answers(*again), answers(*index));
        again->add(more.rows, more.data.data());
        EXPECT_EQ(again->ntotal, 650);
        answers(*again);
    }
}

#if QBNORM_FAISS_VERSION >= 11100
TEST_F(IndexFiles, MmapIfcLeavesTheCodesInTheFile) {
    for (const char* factory : {"Flat", "SQ8", "IVF8,Flat", "HNSW8,Flat"}) {
        for (const Metric metric : metrics) {
            const auto index = fitted(factory, metric);
            write(*index);
            const Index mapped = read(faiss::IO_FLAG_MMAP_IFC);
            EXPECT_EQ(answers(*mapped), answers(*index));
            const auto* flat = dynamic_cast<const faiss::IndexFlatCodes*>(
                qbnorm_in(*mapped)->base_index);
            EXPECT_TRUE(!flat || !flat->codes.is_owned);
        }
    }
}
#endif

TEST_F(IndexFiles, OtherFlagsReachTheBase) {
    write(*fitted("IVF8,PQ4x4", Metric::l2));
    for (const int skip : {0, faiss::IO_FLAG_SKIP_PRECOMPUTE_TABLE}) {
        const Index index = read(skip);
        const auto& ivf =
            dynamic_cast<faiss::IndexIVFPQ&>(*qbnorm_in(*index)->base_index);
        EXPECT_EQ(ivf.use_precomputed_table, skip ? 0 : 1);
    }
    const LeaksAreFaiss leaks;
    EXPECT_REFUSED(read(faiss::IO_FLAG_SKIP_IVF_DATA), path_ + ": ");
}

TEST_F(IndexFiles, ListsInAFileOfTheirOwnAreFound) {
    const std::string lists = folder_ / "lists";
    auto index = fitted("IVF8,Flat", Metric::l2);
    auto& ivf = dynamic_cast<faiss::IndexIVF&>(*index->base_index);
    auto* on_disk =
        new faiss::OnDiskInvertedLists(8, ivf.code_size, lists.c_str());
    on_disk->merge_from_1(ivf.invlists);
    const Answered expected = answers(*index);
    ivf.replace_invlists(on_disk, true);
    write(*index);
    index.reset();
    EXPECT_EQ(answers(*read(faiss::IO_FLAG_READ_ONLY)), expected);
    const TemporaryFolder elsewhere;
    std::filesystem::rename(lists, elsewhere / "lists");
    std::filesystem::rename(path_, elsewhere / "moved");
    const Index moved(read_index_qbnorm(
        (elsewhere / "moved").c_str(),
        faiss::IO_FLAG_ONDISK_SAME_DIR | faiss::IO_FLAG_READ_ONLY));
    EXPECT_EQ(answers(*moved), expected);
    EXPECT_TRUE(
        dynamic_cast<const faiss::OnDiskInvertedLists&>(lists_of(*moved))
            .read_only);
}

TEST_F(IndexFiles, PlainFilesStillRead) {
    const auto base = bases::make("IVF8,Flat", Metric::l2, gallery);
    faiss::write_index(base.get(), path_.c_str());
    const Index again = read();
    EXPECT_EQ(qbnorm_in(*again), nullptr);
    EXPECT_EQ(answers(*again), answers(*base));
    const Index mapped = read(faiss::IO_FLAG_MMAP);
    EXPECT_EQ(typeid(*dynamic_cast<faiss::IndexIVF&>(*mapped).invlists),
              typeid(faiss::OnDiskInvertedLists));
}

// ---- what cannot be written ----

TEST_F(IndexFiles, OtherIndexesAreRefused) {
    write_file(path_, "old");
    const auto expect_kept = [&](const faiss::Index* index, const char* why) {
        EXPECT_REFUSED(write_index_qbnorm(index, path_.c_str()), path_ + ": ");
        EXPECT_REFUSED(write_index_qbnorm(index, path_.c_str()), why);
        EXPECT_EQ(read_file(path_), "old");
        EXPECT_EQ(folder_.count(), 1);
    };
    const char* other = "use faiss::write_index";
    expect_kept(nullptr, "null pointer");
    faiss::IndexFlatL2 flat(16);
    expect_kept(&flat, other);
    faiss::IndexIDMap map(&flat);
    expect_kept(&map, other);
    faiss::IndexPreTransform chain(fitted("Flat", Metric::l2).release());
    chain.own_fields = true;
    expect_kept(&chain, other);
    struct Derived : IndexQBNorm {
        using IndexQBNorm::IndexQBNorm;
    };
    const Derived derived(&flat);
    expect_kept(&derived, other);

    auto index = fitted("Flat", Metric::l2);
    index->base_index->add(1, more.data.data());
    expect_kept(index.get(), "base_index was changed from outside");
    index = fitted("Flat", Metric::l2);
    index->k_factor = 0;
    expect_kept(index.get(), "k_factor is 0");
    index = fitted("Flat", Metric::l2);
    index->normalization.beta = -1;
    expect_kept(index.get(), "beta");

    faiss::IndexShards shards(16);  // which FAISS cannot write
    const IndexQBNorm over_shards(&shards);
    expect_kept(&over_shards, "serialize");

    const auto short_map =
        in_id_map<faiss::IndexIDMap>(fitted("Flat", Metric::l2), some_ids(599));
    expect_kept(short_map.get(), "one id for each vector");
}

TEST_F(IndexFiles, AFullDiskLeavesTheOldFile) {
    write_file(path_, "old");
    const auto index = fitted("IVF8,Flat", Metric::l2);
    for (const rlim_t bytes : {100, 1000, 10000, 40000}) {
        const FullDisk disk(bytes);
        EXPECT_REFUSED(write(*index), path_ + ": cannot write");
        EXPECT_EQ(read_file(path_), "old");
        EXPECT_EQ(folder_.count(), 1);
    }
    EXPECT_REFUSED(
        write_index_qbnorm(index.get(), (folder_ / "none/a").c_str()),
        "none/a: cannot create");
}

// What a service keeps by adding and removing can be read again, however many
// labels it has given out.
TEST_F(IndexFiles, ManyHolesComeBack) {
    const idx_t n = (idx_t{1} << 20) + 100;
    const Matrix many = testdata::gaussian(n, 2, 5);
    const Matrix few = testdata::gaussian(3, 2, 6);
    const Index base(
        faiss::index_factory(2, "IVF1,Flat", faiss::METRIC_INNER_PRODUCT));
    base->train(1000, many.data.data());
    IndexQBNorm index(base.get());
    index.set_querybank(few.rows, few.data.data());
    index.add(n, many.data.data());
    index.remove_ids(faiss::IDSelectorRange(0, n - 10));
    write(index);
    const Index again = read();
    again->add(1, few.data.data());
    auto& read_back = dynamic_cast<IndexQBNorm&>(*again);
    EXPECT_EQ(read_back.ntotal, 11);
    EXPECT_EQ(read_back.table()->gallery_size, n + 1);
    read_back.remove_ids(faiss::IDSelectorRange(n, n + 1));
    EXPECT_EQ(read_back.ntotal, 10);
}

}  // namespace
