#pragma once

#include <faiss/Index.h>

#include <memory>
#include <optional>
#include <vector>

#include "faiss_qbnorm/core/norm_table.h"
#include "faiss_qbnorm/core/removal.h"
#include "faiss_qbnorm/engine.h"
#include "faiss_qbnorm/faiss/built_against.h"
#include "faiss_qbnorm/faiss/search_report.h"
#include "faiss_qbnorm/fit.h"
#include "faiss_qbnorm/tune/choose_beta.h"

namespace faiss_qbnorm {

class Transformed;
struct SearchPlan;

/// What one search of an IndexQBNorm asks for. Parameters of any other type go
/// to the base unchanged. There is no beta: another one needs a fit.
struct SearchParametersQBNorm : faiss::SearchParameters {
    float k_factor = 0;  ///< 0: the index's own
    /// The base's own, not owned. An IDSelector may be in here or beside it;
    /// inside an ID map, which translates the latter only, beside it.
    faiss::SearchParameters* base_index_params = nullptr;
    std::optional<Method> method;  ///< the index's own where not given
    Bank bank = Bank::querybank;   ///< whose column is and dis normalise with
    /// Where given, the call writes here how its queries were answered. Each
    /// call needs its own, so do not hand one through stock shards.
    QBNormSearchStats* stats = nullptr;
};

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
/// Labels must be 0 .. ntotal - 1, with holes where items were removed: wrap
/// inside an ID map, not around it. DIS wraps outside IndexShards (a shard's
/// own top-1 opens the wrong gates); only methods without a gate may be inside.
///
/// With normalization.method = none every search is the base's own; calls that
/// change a fitted index keep its table in step even then. User mistakes throw
/// faiss::FaissException and leave the index as it was. Searches may run
/// concurrently, but not beside a call that changes the index.
struct IndexQBNorm : faiss::Index {
    faiss::Index* base_index = nullptr;
    bool own_fields = false;  ///< whether the destructor deletes base_index

    /// Candidates taken from bases that are not scanned.
    float k_factor = 10;
    idx_t min_candidates = 100;

    /// Assign a Method for its published defaults. none, is and dis (and, once
    /// fitted for either, dualis and dualdis) may be changed at any time; any
    /// other change makes search throw until set_querybank fits again.
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

    /// The same with beta, and which of none, is and dis (or `method`, where it
    /// is given), chosen for the vectors that the base holds by n unlabelled
    /// queries (n x d; a thousand if there are; none: by the bank alone) as
    /// choose_beta does. The choice is in `normalization`, too. Bases other
    /// than flat ones are read into memory for it.
    BetaChoice set_querybank_auto(idx_t m, const float* bank, idx_t n,
                                  const float* queries,
                                  std::optional<Method> method = {},
                                  const float* gallery = nullptr);

    /// As set_querybank, with a gallerybank (mg x d, other items of the
    /// gallery's kind), which dualis and dualdis need and dbsn takes.
    /// dbsn learns its weights from the items that are here and the
    /// gallerybank; items that come later are fitted with them.
    void set_banks(idx_t m, const float* bank, idx_t mg,
                   const float* gallerybank, const float* gallery = nullptr);

    /// Takes a table that was fitted before and its `normalization`, and the
    /// banks it was fitted with (m x d, mg x d), which calls that change the
    /// index need; without them they refuse.
    void set_table(NormTable table, idx_t m = 0, const float* bank = nullptr,
                   idx_t mg = 0, const float* gallerybank = nullptr);

    /// nullptr before set_querybank and set_table.
    const NormTable* table() const { return fitted_.table.get(); }
    /// m x d as it was given; no rows where the index has none.
    MatrixView querybank() const;
    MatrixView gallerybank() const;
    const Engine& engine() const { return *engine_; }

    void train(idx_t n, const float* x) override;
    void reset() override;  ///< keeps the bank

    /// New items are fitted and get the labels table()->gallery_size onwards.
    void add(idx_t n, const float* x) override;

    /// Refused once a bank or a table is set: an ID map holds other labels.
    void add_with_ids(idx_t n, const float* x, const idx_t* xids) override;

    /// As the base does it: flat indexes close up their labels, IVF indexes
    /// leave holes. Bank queries that lost their best items search the base's
    /// vectors again.
    size_t remove_ids(const faiss::IDSelector& sel) override;

    /// Joins an IndexQBNorm that was fitted with the same bank and
    /// `normalization`; it is empty afterwards. Its labels follow this one's;
    /// over an IVF base `add_id`, if not 0, is added to them instead.
    void merge_from(faiss::Index& other, idx_t add_id = 0) override;
    void check_compatible_for_merge(const faiss::Index& other) const override;

    void search(idx_t n, const float* x, idx_t k, float* distances,
                idx_t* labels,
                const faiss::SearchParameters* params = nullptr) const override;

    /// Every item beyond the radius by what search would return for it.
    void range_search(
        idx_t n, const float* x, float radius, faiss::RangeSearchResult* result,
        const faiss::SearchParameters* params = nullptr) const override;
    void assign(idx_t n, const float* x, idx_t* labels,
                idx_t k = 1) const override;
    void search_and_reconstruct(
        idx_t n, const float* x, idx_t k, float* distances, idx_t* labels,
        float* recons,
        const faiss::SearchParameters* params = nullptr) const override;

    /// Normalised distances to a query for method is (symmetric_dis is the
    /// base's own); refused for dis, whose gate needs a search.
    faiss::DistanceComputer* get_distance_computer() const override;

    // The base's own: vectors and codes hold no offset.
    void reconstruct(idx_t key, float* recons) const override;
    void reconstruct_batch(idx_t n, const idx_t* keys,
                           float* recons) const override;
    void reconstruct_n(idx_t i0, idx_t ni, float* recons) const override;
    void compute_residual(const float* x, float* residual,
                          idx_t key) const override;
    void compute_residual_n(idx_t n, const float* xs, float* residuals,
                            const idx_t* keys) const override;
    size_t sa_code_size() const override;
    void sa_encode(idx_t n, const float* x, std::uint8_t* bytes) const override;
    void sa_decode(idx_t n, const std::uint8_t* bytes, float* x) const override;

    // What later FAISS versions added.
#if QBNORM_FAISS_VERSION >= 11000
    /// Refused once a bank or a table is set.
    void add_sa_codes(idx_t n, const std::uint8_t* codes,
                      const idx_t* xids) override;
#endif
#if QBNORM_FAISS_VERSION >= 11300
#define QBNORM_EX(call) call##_ex
#elif QBNORM_FAISS_VERSION >= 11200
#define QBNORM_EX(call) call##Ex
#endif
#ifdef QBNORM_EX
    // Once a bank or a table is set, for float32 only.
    void QBNORM_EX(train)(idx_t n, const void* x,
                          faiss::NumericType type) override;
    void QBNORM_EX(add)(idx_t n, const void* x,
                        faiss::NumericType type) override;
    void QBNORM_EX(add_with_ids)(idx_t n, const void* x,
                                 faiss::NumericType type,
                                 const idx_t* xids) override;
    void QBNORM_EX(search)(
        idx_t n, const void* x, faiss::NumericType type, idx_t k,
        float* distances, idx_t* labels,
        const faiss::SearchParameters* params = nullptr) const override;
#endif
#if QBNORM_FAISS_VERSION >= 11302
    /// The gate looks at the given labels only.
    void search_subset(idx_t n, const float* x, idx_t k_base,
                       const idx_t* base_labels, idx_t k, float* distances,
                       idx_t* labels) const override;
#endif
#if QBNORM_FAISS_HAS_SEARCH1
    /// Refused while a method other than none is set.
    void search1(const float* x, faiss::ResultHandler& handler,
                 faiss::SearchParameters* params = nullptr) const override;
#endif
#if QBNORM_FAISS_VERSION == 11401
    void train(idx_t n, const float* x, idx_t n_train_q,
               const float* xq_train) override;
#elif QBNORM_FAISS_VERSION >= 11402
    void train_with_queries(idx_t n, const float* x, idx_t n_train_q,
                            const float* xq_train) override;
#endif

  private:
    friend struct IndexFileAccess;  // index_io.cpp

    /// A column where the engine keeps it.
    struct BoundColumn {
        BankColumn column;
        std::unique_ptr<BoundTable> table;
        float least_offset = 0;
    };
    struct Fitted {
        std::shared_ptr<const NormTable> table;
        std::vector<BoundColumn> columns;  ///< the table's, then dualis's
    };
    struct Call;
    struct TransformedBanks;

    // Fitting (IndexQBNorm.cpp).
    FitOptions options_for(const Normalization& parameters) const;
    BetaChoice choose(const MatrixView& bank, const MatrixView& queries,
                      std::optional<Method> method, const float* gallery) const;
    Fitted fit_all(const Banks& banks, const float* gallery) const;
    Fitted bind(NormTable table) const;
    void restore(std::optional<NormTable> stored, const Banks& banks);
    Banks banks() const {
        return {querybank(), gallerybank()};
    }
    void keep(const Banks& banks);
    void install(Fitted fitted);
    void sync_with_base();
    void check_covers_base(const NormTable& given) const;
    void check_suits_base(const NormTable& given) const;
    void check_made_columns(const NormTable& given, const Banks& banks) const;

    // Searching (IndexQBNorm_search.cpp).
    Call call_of(const faiss::SearchParameters* params) const;
    void check_searchable(const Call& call) const;
    const BoundColumn& column_for(const Call& call) const;
    SearchPlan plan_of(const Call& call) const;
    MatrixView view(idx_t n, const float* x) const;

    // Changing (IndexQBNorm_change.cpp).
    bool is_fitted() const {
        return fitted_.table || !bank_.empty();
    }
    void fit_after_training();
    bool has_bank_of(const BankColumn& column) const;
    void check_changeable() const;
    void add_to_base(idx_t n, const float* x);
    bool is_fitted_on_originals() const;
    NormTable table_without(const Removal& removal) const;
    void search_again(const NormTable& left, BankColumn& column,
                      const Removal& removal) const;
    NormTable table_joined(const IndexQBNorm& other, idx_t begin) const;
    bool knows_fingerprint() const;

    void require_unfitted(const char* call, const char* instead) const;

    std::shared_ptr<const Engine> engine_;
    // Not transformed; empty after set_table without them.
    std::vector<float> bank_;         // m x d
    std::vector<float> gallerybank_;  // mg x d
    Fitted fitted_;
    // A flat base's vectors; a search binds them itself where they have moved.
    std::unique_ptr<BoundGallery> bound_gallery_;
    const float* bound_vectors_ = nullptr;
};

}  // namespace faiss_qbnorm
