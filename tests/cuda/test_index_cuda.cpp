// Oracle: the same index on the CPU engine, which tests/faiss and tests/engine
// hold to the paper.

#include <faiss/IndexIVF.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/IDSelector.h>
#include <gtest/gtest.h>

#include <thread>

#include "cuda/engine_cuda.h"
#include "faiss_qbnorm/IndexQBNorm.h"
#include "faiss_qbnorm/cpu/engine_cpu.h"
#include "faiss_qbnorm/io/vector_file.h"
#include "faiss_qbnorm/search.h"
#include "host_runtime.h"
#include "tests/data.h"
#include "tests/faiss/bases.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

constexpr idx_t items = 300;
constexpr idx_t nq = 12;
constexpr int d = 10;

std::shared_ptr<const Engine> cuda_engine(
    Precision precision = Precision::automatic, bool streams = false) {
    CudaTiles tiles;
    tiles.tile_bytes = idx_t{64} * 256 * 2;
    tiles.tile_columns = 256;
    tiles.probe_rows = 64;
    tiles.shortlist_least = 8;
    tiles.shortlist_most = 128;
    tiles.chunk_bytes = idx_t{100} * d * 4;
    tiles.reserve_bytes = streams ? idx_t{1} << 40 : 0;
    return make_engine_cuda(0, precision, tiles);
}

struct Found {
    std::vector<float> distances;
    std::vector<idx_t> labels;
    bool operator==(const Found&) const = default;
};

struct Kind {
    const char* factory;
    Metric metric;
};

void PrintTo(const Kind& kind, std::ostream* out) {
    *out << kind.factory << " " << name_of(kind.metric);
}

class IndexOnCuda : public testing::TestWithParam<Kind> {
  protected:
    void TearDown() override { qbnorm_host::reset(); }

    Found search(const faiss::Index& index, idx_t k,
                 const faiss::SearchParameters* params = nullptr) const {
        Found found{std::vector<float>(nq * k), std::vector<idx_t>(nq * k)};
        index.search(nq, queries.data.data(), k, found.distances.data(),
                     found.labels.data(), params);
        return found;
    }

    /// Every method and several k, exactly as `right` answers.
    void expect_same(IndexQBNorm& index, IndexQBNorm& right,
                     const faiss::SearchParameters* params = nullptr) const {
        Found raw;
        for (const Method method : {Method::none, Method::is, Method::dis}) {
            index.normalization.method = method;
            right.normalization.method = method;
            for (const idx_t k : {1, 7, 100}) {
                const Found found = search(index, k, params);
                EXPECT_EQ(found, search(right, k, params))
                    << name_of(method) << ", k " << k;
                if (k == 100 && method == Method::none) raw = found;
                // Or it would not matter which table there is.
                if (k == 100 && method == Method::is) {
                    EXPECT_NE(found.labels, raw.labels);
                }
            }
        }
        index.normalization.method = Method::dis;
        right.normalization.method = Method::dis;
    }

    const Kind kind = GetParam();
    const Metric metric = kind.metric;
    const Matrix gallery = testdata::unit(items, d, 1);
    const Matrix queries = testdata::unit(nq, d, 2);
    const Matrix bank = testdata::unit(60, d, 3);
    const std::unique_ptr<faiss::Index> base =
        bases::make(kind.factory, metric, gallery);
};

INSTANTIATE_TEST_SUITE_P(
    Bases, IndexOnCuda,
    testing::Values(Kind{"Flat", Metric::inner_product},
                    Kind{"Flat", Metric::l2},
                    Kind{"PCA8,Flat", Metric::inner_product},
                    Kind{"IVF4,Flat", Metric::inner_product},
                    Kind{"IVF4,Flat", Metric::l2},
                    Kind{"HNSW8,Flat", Metric::inner_product},
                    Kind{"HNSW8,Flat", Metric::l2}));

TEST_P(IndexOnCuda, AnswersAsOnTheCpuByOneTable) {
    IndexQBNorm right(base.get(), make_engine_cpu());
    right.normalization = {Method::dis, 20, 2};
    right.set_querybank(bank.rows, bank.data.data(), gallery.data.data());
    for (const Precision precision :
         {Precision::automatic, Precision::fp16, Precision::fp32}) {
        IndexQBNorm index(base.get(), cuda_engine(precision));
        index.set_table(*right.table());
        EXPECT_EQ(index.engine().name(), "cuda");
        expect_same(index, right);
    }
}

TEST_P(IndexOnCuda, FitsTheBank) {
    IndexQBNorm right(base.get(), make_engine_cpu());
    right.set_querybank(bank.rows, bank.data.data());
    IndexQBNorm index(base.get(), cuda_engine());
    index.set_querybank(bank.rows, bank.data.data());
    const BankColumn& a = index.table()->columns[0];
    const BankColumn& b = right.table()->columns[0];
    EXPECT_EQ(index.table()->fingerprint, right.table()->fingerprint);
    for (idx_t i = 0; i < items; i++) {
        ASSERT_NEAR(a.offsets[i], b.offsets[i], 1e-3) << i;
        ASSERT_EQ(a.activation.contains(i), b.activation.contains(i)) << i;
    }
    EXPECT_TRUE(std::ranges::equal(a.lists.labels, b.lists.labels));
    EXPECT_TRUE(std::ranges::equal(a.lists.scores, b.lists.scores));
    // Its own table answers as it does on the CPU.
    IndexQBNorm again(base.get(), make_engine_cpu());
    again.set_table(*index.table());
    expect_same(index, again);
}

TEST_P(IndexOnCuda, AnswersAfterAdd) {
    const auto half = static_cast<idx_t>(items / 2);
    base->reset();
    IndexQBNorm index(base.get(), cuda_engine());
    index.set_querybank(bank.rows, bank.data.data());
    EXPECT_EQ(search(index, 3).labels, std::vector<idx_t>(nq * 3, -1));
    index.add(half, gallery.data.data());
    search(index, 3);
    index.add(items - half, gallery.view().row(half));
    IndexQBNorm right(base.get(), make_engine_cpu());
    right.set_table(*index.table());
    expect_same(index, right);
    const NormTable& table = *index.table();
    EXPECT_EQ(table.gallery_size, items);
    right.set_querybank(bank.rows, bank.data.data());
    for (idx_t i = 0; i < items; i++) {
        ASSERT_NEAR(table.columns[0].offsets[i],
                    right.table()->columns[0].offsets[i], 1e-3);
    }
}

class SelectorOnCuda : public IndexOnCuda {};
INSTANTIATE_TEST_SUITE_P(Bases, SelectorOnCuda,
                         testing::Values(Kind{"Flat", Metric::inner_product},
                                         Kind{"Flat", Metric::l2},
                                         Kind{"IVF4,Flat", Metric::l2}));

TEST_P(SelectorOnCuda, IsKept) {
    IndexQBNorm right(base.get(), make_engine_cpu());
    right.set_querybank(bank.rows, bank.data.data());
    IndexQBNorm index(base.get(), cuda_engine());
    index.set_table(*right.table());
    faiss::IDSelectorRange some(40, 190);
    faiss::SearchParameters flat;
    flat.sel = &some;
    faiss::SearchParametersIVF ivf;
    ivf.sel = &some;
    ivf.nprobe = 3;
    const bool is_ivf = dynamic_cast<faiss::IndexIVF*>(base.get());
    const faiss::SearchParameters* params = is_ivf ? &ivf : &flat;
    expect_same(index, right, params);
    idx_t held = 0;
    for (const idx_t label : search(index, 100, params).labels) {
        EXPECT_TRUE(label == -1 || some.is_member(label)) << label;
        held += label >= 0;
    }
    EXPECT_GT(held, nq * 10);
}

TEST_P(IndexOnCuda, MaySearchConcurrently) {
    IndexQBNorm index(base.get(), cuda_engine());
    index.set_querybank(bank.rows, bank.data.data());
    const Found right = search(index, 10);
    qbnorm_host::set_eagerness(50);
    std::vector<Found> found(3);
    std::vector<std::thread> threads;
    threads.reserve(found.size());
    for (Found& mine : found) {
        threads.emplace_back([&] { mine = search(index, 10); });
    }
    for (std::thread& thread : threads) thread.join();
    for (const Found& mine : found) EXPECT_EQ(mine, right);
}

TEST_P(IndexOnCuda, StaysAsItWasWhereTheDeviceFails) {
    IndexQBNorm index(base.get(), cuda_engine());
    index.set_querybank(bank.rows, bank.data.data());
    const Found right = search(index, 5);
    const NormTable* table = index.table();
    qbnorm_host::fail_call(7, cudaErrorInvalidDevice);
    EXPECT_THROW_SAYING(index.set_querybank(bank.rows, bank.data.data()),
                        faiss::FaissException, "CUDA failed while");
    EXPECT_EQ(index.table(), table);
    EXPECT_EQ(search(index, 5), right);
    qbnorm_host::fail_call(3, cudaErrorMemoryAllocation);
    if (std::string(kind.factory).find("IVF") == std::string::npos) {
        EXPECT_THROW(search(index, 5), faiss::FaissException);
    }
    qbnorm_host::fail_call(0, cudaSuccess);
    EXPECT_EQ(search(index, 5), right);
}

TEST(ExactSearchOnCuda, ReadsAFileInBlocks) {
    TemporaryFolder folder;
    const Matrix gallery = testdata::unit(500, d, 4);
    const Matrix queries = testdata::unit(nq, d, 5);
    const Matrix bank = testdata::unit(40, d, 6);
    const std::string path = folder / "gallery.fbin";
    const auto rows = static_cast<std::int32_t>(gallery.rows);
    const std::int32_t width = d;
    std::string bytes(reinterpret_cast<const char*>(&rows), 4);
    bytes.append(reinterpret_cast<const char*>(&width), 4);
    bytes.append(reinterpret_cast<const char*>(gallery.data.data()),
                 gallery.data.size() * sizeof(float));
    write_file(path, bytes);
    for (const Metric metric : {Metric::inner_product, Metric::l2}) {
        FitOptions options;
        options.metric = metric;
        const NormTable table =
            fit(*make_engine_cpu(), MemoryGallery(gallery.view()), bank.view(),
                options);
        const auto search = [&](const Engine& engine, idx_t block) {
            const VectorFile file(path, false, block);
            Found found{std::vector<float>(nq * 20),
                        std::vector<idx_t>(nq * 20)};
            exact_search(engine, file, metric, &table, Method::dis,
                         queries.view(), 20,
                         {found.distances.data(), found.labels.data()});
            return found;
        };
        const Found right = search(*make_engine_cpu(), 500);
        EXPECT_NE(right.labels, std::vector<idx_t>(nq * 20, -1));
        const auto engine = cuda_engine();
        for (const idx_t block : {37, 250, 500}) {
            EXPECT_EQ(search(*engine, block), right)
                << name_of(metric) << ", blocks of " << block;
        }
    }
}

TEST(ExactSearchOnCuda, StreamsChunksOfAnyNorms) {
    // As half, as float and as half again.
    Matrix gallery = testdata::unit(330, d, 4);
    for (idx_t i = 100 * d; i < 200 * d; i++) gallery.data[i] *= 7;
    const Matrix queries = testdata::unit(nq, d, 5);
    const MemoryGallery items(gallery.view());
    for (const Metric metric : {Metric::inner_product, Metric::l2}) {
        const auto search = [&](const Engine& engine) {
            Found found{std::vector<float>(nq * 150),
                        std::vector<idx_t>(nq * 150)};
            exact_search(engine, items, metric, nullptr, Method::none,
                         queries.view(), 150,
                         {found.distances.data(), found.labels.data()});
            return found;
        };
        EXPECT_EQ(search(*cuda_engine(Precision::automatic, true)),
                  search(*make_engine_cpu()));
    }
}

}  // namespace
