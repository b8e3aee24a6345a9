#pragma once

#include "bench/common/data.h"
#include "bench/cpu/oracle.h"
#include "bench/cpu/rows.h"
#include "faiss_qbnorm/IndexQBNorm.h"

namespace bench {

/// Random queries and room for their answers.
class Batch {
  public:
    Batch(idx_t nq, int d, idx_t k)
        : queries_(nq, d, 3), k_(k), distances_(nq * k), labels_(nq * k) {}

    MatrixView queries() const { return queries_.view(); }
    idx_t size() const { return queries().rows; }
    idx_t k() const { return k_; }

    void search(const faiss::Index& index) {
        index.search(size(), queries().data, k_, distances_.data(),
                     labels_.data());
    }

    /// Throws unless the index answers a sample of the queries rightly.
    void verify(faiss_qbnorm::IndexQBNorm& index, const RawScores& raw,
                double tolerance = float_rounding) {
        constexpr idx_t checked = 10;
        for (const Method method : both_methods) {
            index.normalization.method = method;
            search(index);
            verify_answers(raw, index.table()->columns.front(), method,
                           sample(size(), checked), answered(), tolerance);
        }
    }

    Contender contender(const std::string& name, const faiss::Index& index) {
        return {name, static_cast<double>(size()),
                steady([this, &index] { search(index); })};
    }

    /// Room for them or, after a search, the answers.
    float* distances() { return distances_.data(); }
    idx_t* labels() { return labels_.data(); }
    Answered answered() const {
        return {k_, distances_.data(), labels_.data()};
    }

  private:
    Vectors queries_;
    idx_t k_;
    std::vector<float> distances_;
    std::vector<idx_t> labels_;
};

}  // namespace bench
