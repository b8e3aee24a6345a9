#pragma once

#include "faiss_qbnorm/core/huge_pages.h"
#include "faiss_qbnorm/cpu/queries.h"
#include "faiss_qbnorm/engine.h"

namespace faiss_qbnorm {

/// What the CPU engine's handles hold, and its three operations over them.

struct CpuBank : BoundBank {
    Metric metric;
    MatrixView bank;
    std::vector<float> center;  ///< for L2 the bank's mean; else empty
    Queries queries;

    CpuBank(const Scoring& scoring, Metric metric, const MatrixView& bank);
};

struct CpuGallery : BoundGallery {
    Metric metric;
    GalleryBlock block;
    std::vector<float> center;  ///< for L2 a point amid the block; else empty

    CpuGallery(Metric metric, const GalleryBlock& block);

    const float* center_or_null() const {
        return center.empty() ? nullptr : center.data();
    }
};

struct CpuTable : BoundTable {
    BankColumn column;
    HugeVector<float> copied;        ///< the offsets, where they need it
    std::span<const float> offsets;  ///< of item begin + i, in huge pages
    idx_t begin;
    idx_t end;
    float largest_offset = 0;  ///< by magnitude

    /// Throws where an offset is NaN or Inf.
    CpuTable(const NormTable& table, const BankColumn& column);
};

void cpu_probe(const CpuBank& bank, const GalleryBlock& block,
               const Normalization& normalization, float* offsets,
               TopLists& winners);

void cpu_scan(const Scoring& scoring, const CpuGallery& gallery,
              const CpuTable* table, const MatrixView& queries,
              ScanState& state);

void cpu_rerank(const CpuTable& table, Method method,
                const Candidates& candidates, idx_t k, const Answers& answers);

}  // namespace faiss_qbnorm
