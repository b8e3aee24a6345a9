#pragma once

#include <faiss/IndexIVF.h>
#include <faiss/impl/io.h>
#include <faiss/index_io.h>
#include <gtest/gtest.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "faiss_qbnorm/IndexQBNorm.h"
#include "faiss_qbnorm/faiss/unwrap.h"
#include "faiss_qbnorm/index_io.h"
#include "tests/faiss/wrapped.h"

/// Indexes that go through a file.

namespace index_files {

using namespace wrapped_data;

inline std::unique_ptr<IndexQBNorm> owning(Index base) {
    auto index = std::make_unique<IndexQBNorm>(base.release());
    index->own_fields = true;
    return index;
}

inline std::unique_ptr<IndexQBNorm> fitted(const char* factory, Metric metric,
                                           Method method = Method::dis) {
    auto index = owning(bases::make(factory, metric, gallery));
    index->normalization = {method, 15, 2};
    index->set_querybank(bank.rows, bank.data.data());
    return index;
}

inline std::string bytes_of(const faiss::Index& index) {
    faiss::VectorIOWriter writer;
    faiss::write_index(&index, &writer);
    return {writer.data.begin(), writer.data.end()};
}

inline std::vector<idx_t> some_ids(idx_t n) {
    std::vector<idx_t> ids(n);
    for (idx_t i = 0; i < n; i++) ids[i] = 1000 - 7 * i;
    return ids;
}

class IndexFiles : public testing::Test {
  protected:
    void write(const faiss::Index& index) const {
        write_index_qbnorm(&index, path_.c_str());
    }

    Index read(int io_flags = 0) const {
        return Index(read_index_qbnorm(path_.c_str(), io_flags));
    }

    std::unique_ptr<IndexQBNorm> read_qbnorm(int io_flags = 0) const {
        Index index = read(io_flags);
        auto* result = dynamic_cast<IndexQBNorm*>(index.get());
        EXPECT_NE(result, nullptr);
        index.release();
        return std::unique_ptr<IndexQBNorm>(result);
    }

    Index written_and_read(const faiss::Index& index) const {
        write(index);
        return read();
    }

    const TemporaryFolder folder_;
    const std::string path_ = folder_ / "a.qbindex";
};

// FAISS reads mapped labels where they lie, aligned or not, and in its headers,
// too, where UBSan sees it.
#ifdef __SANITIZE_ADDRESS__
constexpr bool can_map = false;
#else
constexpr bool can_map = true;
#endif

// FAISS 1.7.3 leaks what it had read when it refuses a stream.
struct LeaksAreFaiss {
#ifdef __SANITIZE_ADDRESS__
    LeaksAreFaiss() {
        __lsan_disable();
    }
    ~LeaksAreFaiss() {
        __lsan_enable();
    }
    LeaksAreFaiss(const LeaksAreFaiss&) = delete;
    LeaksAreFaiss& operator=(const LeaksAreFaiss&) = delete;
#else
    LeaksAreFaiss() {}  // not unused
#endif
};

inline const faiss::InvertedLists& lists_of(const faiss::Index& index) {
    const faiss::Index& base = innermost(*qbnorm_in(index)->base_index);
    return *dynamic_cast<const faiss::IndexIVF&>(base).invlists;
}

}  // namespace index_files
