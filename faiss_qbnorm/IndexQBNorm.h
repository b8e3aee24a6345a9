#pragma once

#include <faiss/Index.h>

#include <memory>
#include <optional>
#include <vector>

#include "faiss_qbnorm/core/norm_table.h"
#include "faiss_qbnorm/engine.h"
#include "faiss_qbnorm/faiss/built_against.h"
#include "faiss_qbnorm/fit.h"

namespace faiss_qbnorm {

/// A faiss::Index around any other that undoes hubness: answers are ranked by
/// s - offset instead of s (Querybank Normalisation, Bogolin et al. 2022).
///
///     faiss_qbnorm::IndexQBNorm index(base);
///     index.set_querybank(m, bank);  // past queries, m x d
///     index.search(nq, queries, k, distances, labels);
///
/// Flat bases (IndexFlat, IP, L2) are scanned exactly. Over IndexIVFFlat,
/// IndexIVFScalarQuantizer and IndexIVFPQ the probed lists are scanned once,
/// exactly over those lists. Any other base gives max(k * k_factor,
/// min_candidates) candidates (HNSW: efSearch if larger) to rerank. Each is
/// found behind an IndexPreTransform too.
///
/// Distances: inner product s, or squared L2; rows whose gate is open hold
/// s - offset (L2: distance + offset, which may be negative), the others the
/// raw distance, so compare within a row only. Ties go to the lower label.
///
/// Labels must be 0 .. ntotal - 1: wrap inside an ID map, not around it. With
/// normalization.method = none every search is the base's own; calls that would
/// leave a fitted table behind the base are refused even then. User mistakes
/// throw faiss::FaissException and leave the index as it was. Searches may run
/// concurrently, but not beside a call that changes the index.
struct IndexQBNorm : faiss::Index {
    faiss::Index* base_index = nullptr;
    bool own_fields = false;  ///< whether the destructor deletes base_index

    /// Candidates taken from bases that are not scanned.
    float k_factor = 10;
    idx_t min_candidates = 100;

    /// Another method may be set at any time; another beta or activation_k
    /// makes search throw until set_querybank fits again.
    Normalization normalization;

    /// The engine is make_engine()'s choice where none is given.
    explicit IndexQBNorm(faiss::Index* base,
                         std::shared_ptr<const Engine> engine = nullptr);
    ~IndexQBNorm() override;
    IndexQBNorm(const IndexQBNorm&) = delete;
    IndexQBNorm& operator=(const IndexQBNorm&) = delete;

    /// Fits `normalization` with m bank queries (m x d), which are kept for
    /// later add() calls; an untrained base is fitted by train(). Vectors that
    /// the base holds are read back from it; give `gallery` (ntotal x d, in
    /// label order) where the base stores them approximately or cannot decode
    /// them. Scores are the base's: behind an IndexPreTransform, all three are
    /// transformed.
    void set_querybank(idx_t m, const float* bank,
                       const float* gallery = nullptr);

    /// Takes a table that was fitted before and its `normalization`, and the
    /// bank it was fitted with (m x d), which calls that change the index need;
    /// without it they refuse.
    void set_table(NormTable table, idx_t m = 0, const float* bank = nullptr);

    /// nullptr before set_querybank and set_table.
    const NormTable* table() const { return table_.get(); }
    /// m x d as it was given; no rows where the index has none.
    MatrixView querybank() const;
    const Engine& engine() const { return *engine_; }

    void train(idx_t n, const float* x) override;
    void add(idx_t n, const float* x) override;
    void search(idx_t n, const float* x, idx_t k, float* distances,
                idx_t* labels,
                const faiss::SearchParameters* params = nullptr) const override;
    void assign(idx_t n, const float* x, idx_t* labels,
                idx_t k = 1) const override;
    void reset() override;

    void reconstruct(idx_t key, float* recons) const override;
    void reconstruct_batch(idx_t n, const idx_t* keys,
                           float* recons) const override;
    void reconstruct_n(idx_t i0, idx_t ni, float* recons) const override;
    void search_and_reconstruct(
        idx_t n, const float* x, idx_t k, float* distances, idx_t* labels,
        float* recons,
        const faiss::SearchParameters* params = nullptr) const override;
    void compute_residual(const float* x, float* residual,
                          idx_t key) const override;
    void compute_residual_n(idx_t n, const float* xs, float* residuals,
                            const idx_t* keys) const override;

    size_t sa_code_size() const override;
    void sa_encode(idx_t n, const float* x, std::uint8_t* bytes) const override;
    void sa_decode(idx_t n, const std::uint8_t* bytes, float* x) const override;

    // Refused while a method other than none is set.
    void range_search(
        idx_t n, const float* x, float radius, faiss::RangeSearchResult* result,
        const faiss::SearchParameters* params = nullptr) const override;
    faiss::DistanceComputer* get_distance_computer() const override;

    // Refused once a bank or a table is set, whatever the method.
    void add_with_ids(idx_t n, const float* x, const idx_t* xids) override;
    size_t remove_ids(const faiss::IDSelector& sel) override;
    void merge_from(faiss::Index& other, idx_t add_id = 0) override;
    void check_compatible_for_merge(const faiss::Index& other) const override;

  private:
    friend struct IndexFileAccess;  // index_io.cpp

    void check_searchable() const;
    void require_raw(const char* call) const;
    void require_no_table(const char* call) const;
    void install(std::shared_ptr<const NormTable> table,
                 std::unique_ptr<BoundTable> bound);
    void restore(std::optional<NormTable> stored, const MatrixView& bank);
    void sync_with_base();
    MatrixView view(idx_t n, const float* x) const;
    FitOptions options_for(const Normalization& parameters) const;
    void fit_all(const MatrixView& bank, const float* gallery);
    void check_suits_base(const NormTable& given) const;
    void check_made_column(const MatrixView& bank,
                           const BankColumn& column) const;

    std::shared_ptr<const Engine> engine_;
    std::vector<float> bank_;  // m x d, not transformed; empty after set_table
    std::shared_ptr<const NormTable> table_;
    std::unique_ptr<BoundTable> bound_table_;
    // A flat base's vectors; a search binds them itself where they have moved.
    std::unique_ptr<BoundGallery> bound_gallery_;
    const float* bound_vectors_ = nullptr;
};

}  // namespace faiss_qbnorm
