#pragma once

#include "faiss_qbnorm/cpu/score_tile.h"
#include "faiss_qbnorm/cpu/tiles.h"
#include "faiss_qbnorm/engine.h"

namespace faiss_qbnorm {

/// What the CPU engine's handles hold, and its three operations over them.

struct CpuBank : BoundBank {
    Metric metric;
    MatrixView bank;
    /// What is taken from both sides before a product: for L2 the bank's mean,
    /// which keeps distances' digits far from the origin; else zero.
    std::vector<float> center;
    std::vector<float> centered;  ///< the bank without it; empty for zero
    ScoredRows rows;              ///< of the bank without it
    float max_norm;

    CpuBank(Metric metric, const MatrixView& bank);
};

struct CpuGallery : BoundGallery {
    Metric metric;
    GalleryBlock block;
    ScoredRows rows;

    CpuGallery(Metric metric, const GalleryBlock& block)
        : metric(metric), block(block), rows(block.vectors) {}
};

struct CpuTable : BoundTable {
    BankColumn column;
    HugeVector<float> copied;        ///< the offsets, where they need it
    std::span<const float> offsets;  ///< of item begin + i, in huge pages
    idx_t begin;
    idx_t end;
    float largest_offset = 0;  ///< by magnitude

    /// Throws where an offset is NaN or Inf.
    CpuTable(const NormTable& table, Bank bank);
};

void cpu_probe(const CpuTiles& tiles, const CpuBank& bank,
               const GalleryBlock& block, const Normalization& normalization,
               float* offsets, TopLists& winners);

void cpu_scan(const CpuTiles& tiles, const CpuGallery& gallery,
              const CpuTable* table, const ScoredRows& queries,
              ScanState& state);

void cpu_rerank(const CpuTable& table, Method method,
                const Candidates& candidates, idx_t k, const Answers& answers);

}  // namespace faiss_qbnorm
