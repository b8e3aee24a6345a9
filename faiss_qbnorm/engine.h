#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "faiss_qbnorm/core/norm_table.h"
#include "faiss_qbnorm/core/top_lists.h"

namespace faiss_qbnorm {

/// What an engine multiplies in. Precision shows in offsets only: rankings are
/// decided by exact scores.
enum class Precision {
    automatic,  ///< the engine's choice
    fp32,
    fp16,  ///< cuda
    bf16,  ///< cpu
};

/// Where an engine keeps a bank, a gallery block or a table for as long as the
/// handle lives. An engine may refer to the memory it was bound to: keep that
/// alive too. Handles belong to the engine that made them.
struct BoundBank {
    virtual ~BoundBank() = default;
};
struct BoundGallery {
    virtual ~BoundGallery() = default;
};
struct BoundTable {
    virtual ~BoundTable() = default;
};

/// Where a probe's results go: the offset of the item with label l to
/// offsets[l - begin], and each bank query's best items into its list.
struct ProbeResults {
    idx_t begin = 0;
    std::span<float> offsets;
    TopLists& winners;
};

/// A probe under way. Blocks go in one after another, in any order.
class Probe {
  public:
    virtual ~Probe() = default;

    /// The block's memory may go once this returns; its results may come later,
    /// so that an engine can read one block while it works on another.
    virtual void add(const GalleryBlock& block) = 0;

    /// The same of a gallery that this engine has bound: what is on a device
    /// already is not copied again.
    virtual void add(const BoundGallery& gallery) = 0;

    /// All results are there once this returns.
    virtual void finish() = 0;
};

/// How many items rank before, and level with, a score: the rank of a right
/// answer without sorting the gallery.
struct RankCount {
    idx_t before = 0;
    idx_t level = 0;
};

/// The scores of a right answer of each query, and their ranks so far.
struct RankTargets {
    std::vector<float> raw;
    std::vector<float> normalised;
    std::vector<RankCount> raw_rank;
    std::vector<RankCount> normalised_rank;
};

/// By what the gate of a scan will be decided: the first of its raw list.
struct Gate {
    Method method;
    const ActivationSet& activation;

    bool opens(idx_t raw_top1) const {
        const bool active =
            is_gated(method) && raw_top1 >= 0 && activation.contains(raw_top1);
        return gate_opens(method, active);
    }
};

/// What scanning leaves of the gallery blocks seen so far. The gate is decided
/// once, after the last block, by the first of `raw`.
struct ScanState {
    TopLists raw;         ///< by s
    TopLists normalised;  ///< by s - offset; k = 0 without a table
    RankTargets targets;  ///< counted where not empty
    /// Set for the last block: an engine may then spare itself what the gate
    /// makes needless, all of `raw` but its first or all of `normalised`.
    const Gate* gate = nullptr;
};

/// Raw candidates of `nq` queries, `k` a query: scores (similarities) and
/// labels in any order; slots with label -1 are empty.
struct Candidates {
    idx_t nq = 0;
    idx_t k = 0;
    const float* scores = nullptr;
    const idx_t* labels = nullptr;
    idx_t first_row = 0;  ///< what errors call the first query
};

/// `nq x k` answers in ranking order, padded with label -1, score -infinity.
struct Answers {
    float* scores = nullptr;
    idx_t* labels = nullptr;

    /// Writes row `row`, k long, from the list `list_row` of `lists`.
    void write(idx_t row, idx_t k, const TopLists& lists,
               idx_t list_row) const {
        idx_t slot = row * k;
        for (const Scored& item : lists.sorted(list_row)) {
            scores[slot] = item.score;
            labels[slot++] = item.label;
        }
        for (; slot < (row + 1) * k; slot++) {
            scores[slot] = Scored{}.score;
            labels[slot] = Scored{}.label;
        }
    }
};

/// Where the arithmetic happens. Calls work on whole batches, are const and
/// may run concurrently. Inputs are finite and of matching dimension: the
/// callers (fit, exact search, the index) have checked them.
class Engine {
  public:
    virtual ~Engine() = default;

    virtual std::string_view name() const = 0;
    /// The device or the instructions that it uses here, in words.
    virtual std::string describe() const = 0;

    virtual std::unique_ptr<BoundBank> bind_bank(
        Metric metric, const MatrixView& bank) const = 0;
    virtual std::unique_ptr<BoundGallery> bind_gallery(
        Metric metric, const GalleryBlock& block) const = 0;
    /// Binds the table with the offsets and the activation set of `column`,
    /// which is one of its own or what ranking_column makes of them.
    virtual std::unique_ptr<BoundTable> bind_table(
        const NormTable& table, const BankColumn& column) const = 0;
    /// With those of its first column.
    std::unique_ptr<BoundTable> bind_table(const NormTable& table) const {
        return bind_table(table, table.columns.at(0));
    }

    /// Bank x gallery -> the offset of each item, as `normalization` asks (NaN
    /// where its scores overflow), and each bank query's best items. The
    /// product is never held; offsets do not depend on how a gallery of
    /// contiguous labels is cut into blocks. `bank` and the results' memory
    /// must outlive the probe.
    virtual std::unique_ptr<Probe> begin_probe(
        const BoundBank& bank, const Normalization& normalization,
        const ProbeResults& results) const = 0;

    /// Queries x gallery block -> the running best by s and, given a table,
    /// by s - offset, in one pass.
    virtual void scan(const BoundGallery& gallery, const BoundTable* table,
                      const MatrixView& queries, ScanState& state) const = 0;

    /// Candidate lists -> the best k under `method`, whose gate each list's
    /// own raw top-1 decides. Throws where a label is not in the table or a
    /// score is NaN or Inf.
    virtual void rerank(const BoundTable& table, Method method,
                        const Candidates& candidates, idx_t k,
                        const Answers& answers) const = 0;
};

}  // namespace faiss_qbnorm
