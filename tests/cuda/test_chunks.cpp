// Oracle: the blocks as they were handed in.

#include "cuda/chunks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <random>
#include <stdexcept>
#include <thread>

#include "host_runtime.h"
#include "tests/data.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;
using namespace faiss_qbnorm::cuda;

constexpr int d = 3;

/// What `work` was shown.
struct Seen {
    std::vector<idx_t> rows;     ///< of each chunk
    std::vector<float> vectors;  ///< of all
    std::vector<idx_t> labels;
    std::atomic<int> at_work = 0;

    void operator()(const Chunk& chunk, idx_t padded) {
        EXPECT_EQ(at_work++, 0) << "two chunks at once";
        rows.push_back(chunk.rows);
        std::vector<float> raw(padded * d);
        EXPECT_EQ(cudaMemcpy(raw.data(), chunk.raw, raw.size() * sizeof(float),
                             cudaMemcpyDeviceToHost),
                  cudaSuccess);
        vectors.insert(vectors.end(), raw.begin(),
                       raw.begin() + chunk.rows * d);
        for (auto i = static_cast<size_t>(chunk.rows * d); i < raw.size();
             i++) {
            EXPECT_EQ(raw[i], 0) << "padding";
        }
        bool contiguous = true;
        for (idx_t i = 0; i < chunk.rows; i++) {
            labels.push_back(chunk.label(i));
            contiguous = contiguous && chunk.label(i) == chunk.label(0) + i;
        }
        EXPECT_EQ(chunk.labels == nullptr, contiguous);
        at_work--;
    }
};

idx_t round_up_to(idx_t n, idx_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

/// Hands in `sizes` rows at a time; odd blocks are labelled, backwards where
/// `shuffled`. Their memory goes at once.
void add_blocks(ChunkPipeline& pipeline, const std::vector<idx_t>& sizes,
                bool shuffled, std::vector<float>& vectors,
                std::vector<idx_t>& labels) {
    for (size_t block = 0; block < sizes.size(); block++) {
        const idx_t n = sizes[block];
        std::vector<float> rows(n * d);
        std::vector<idx_t> block_labels(n);
        const auto first = static_cast<idx_t>(labels.size());
        for (idx_t i = 0; i < n; i++) {
            block_labels[i] = shuffled ? first + n - 1 - i : first + i;
            for (int j = 0; j < d; j++) {
                rows[i * d + j] = static_cast<float>(10 * (first + i) + j);
            }
        }
        const bool labelled = block % 2 == 1;
        if (!labelled) {
            for (idx_t i = 0; i < n; i++) block_labels[i] = first + i;
        }
        vectors.insert(vectors.end(), rows.begin(), rows.end());
        labels.insert(labels.end(), block_labels.begin(), block_labels.end());
        pipeline.add({{rows.data(), n, d},
                      labelled ? -1 : first,
                      labelled ? block_labels.data() : nullptr});
        std::fill(rows.begin(), rows.end(), -1.0F);
        std::fill(block_labels.begin(), block_labels.end(), -1);
    }
}

class ChunkPipelines : public testing::TestWithParam<std::uint64_t> {
  protected:
    void SetUp() override {
        qbnorm_host::set_seed(GetParam());
        qbnorm_host::set_eagerness(static_cast<unsigned>(GetParam()));
    }
    void TearDown() override { qbnorm_host::reset(); }
};
INSTANTIATE_TEST_SUITE_P(Eagerness, ChunkPipelines, testing::Values(0, 30, 90));

TEST_P(ChunkPipelines, BringEachRowOnceAndInOrder) {
    const std::vector<std::vector<idx_t>> cases = {
        {1},           {7},       {8},           {9},
        {0, 5, 0},     {16, 16},  {3, 3, 3, 3},  {100, 1, 23},
        {1, 1, 50, 8}, {24, 200}, {17, 2, 90, 6}};
    ChunkHalves halves;  // kept from one pipeline to the next
    for (const auto& sizes : cases) {
        for (const idx_t chunk_rows : {1, 8, 13, 500}) {
            for (const idx_t multiple : {1, 8}) {
                for (const bool shuffled : {false, true}) {
                    SCOPED_TRACE(testing::Message()
                                 << sizes.size() << " blocks, chunks of "
                                 << chunk_rows << ", shuffled " << shuffled);
                    Seen seen;
                    std::vector<float> vectors;
                    std::vector<idx_t> labels;
                    ChunkPipeline pipeline(
                        halves, 0, chunk_rows, multiple, d,
                        [&](const Chunk& chunk) {
                            seen(chunk, round_up_to(chunk.rows, multiple));
                        });
                    add_blocks(pipeline, sizes, shuffled, vectors, labels);
                    pipeline.finish();
                    pipeline.finish();  // nothing is left
                    EXPECT_EQ(seen.vectors, vectors);
                    EXPECT_EQ(seen.labels, labels);
                    for (size_t i = 0; i + 1 < seen.rows.size(); i++) {
                        EXPECT_EQ(seen.rows[i], chunk_rows);
                    }
                }
            }
        }
    }
}

TEST_P(ChunkPipelines, PassOnWhatWorkThrows) {
    ChunkHalves halves;
    for (const int bad : {0, 1, 2, 5}) {
        SCOPED_TRACE(bad);
        int chunks = 0;
        std::vector<float> vectors;
        std::vector<idx_t> labels;
        const auto run = [&] {
            ChunkPipeline pipeline(halves, 0, 8, 1, d, [&](const Chunk&) {
                if (chunks++ == bad) throw std::runtime_error("bad chunk");
            });
            add_blocks(pipeline, std::vector<idx_t>(6, 8), false, vectors,
                       labels);
            pipeline.finish();
        };
        EXPECT_THROW_SAYING(run(), std::runtime_error, "bad chunk");
        EXPECT_GT(chunks, bad);
    }
}

TEST_P(ChunkPipelines, EndWithWorkUnderWayAndWithWorkThatThrew) {
    const auto before = qbnorm_host::live_objects();
    {
        ChunkHalves halves;
        for (const bool throws : {false, true}) {
            std::atomic<bool> done = false;
            std::vector<float> vectors;
            std::vector<idx_t> labels;
            {
                ChunkPipeline pipeline(halves, 0, 8, 1, d, [&](const Chunk&) {
                    std::this_thread::sleep_for(std::chrono::milliseconds(20));
                    done = true;
                    if (throws) throw std::runtime_error("never seen");
                });
                add_blocks(pipeline, {12}, false, vectors, labels);
            }
            EXPECT_TRUE(done) << "the pipeline went before its work";
        }
        // After an exception that came out of add, too.
        std::optional<ChunkPipeline> pipeline;
        pipeline.emplace(halves, 0, 4, 1, d, [](const Chunk&) {
            throw std::runtime_error("bad chunk");
        });
        std::vector<float> vectors;
        std::vector<idx_t> labels;
        EXPECT_THROW(add_blocks(*pipeline, {30}, false, vectors, labels),
                     std::runtime_error);
        pipeline.reset();
    }
    EXPECT_EQ(qbnorm_host::live_objects(), before);
}

TEST_P(ChunkPipelines, CopyOneChunkWhileOneIsAtWork) {
    // The next block goes in while work waits for it.
    ChunkHalves halves;
    std::atomic<bool> added = false;
    int chunks = 0;
    ChunkPipeline pipeline(halves, 0, 8, 1, d, [&](const Chunk&) {
        for (int i = 0; i < 2000 && !added; i++) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        EXPECT_TRUE(added) << "add waited for the work";
        chunks++;
    });
    std::vector<float> vectors;
    std::vector<idx_t> labels;
    add_blocks(pipeline, {8, 7}, false, vectors, labels);
    added = true;
    pipeline.finish();
    EXPECT_EQ(chunks, 2);
}

}  // namespace
