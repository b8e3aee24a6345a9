#pragma once

#include <faiss/IndexIVF.h>

#include <memory>
#include <optional>

#include "faiss_qbnorm/core/top_lists.h"
#include "faiss_qbnorm/cpu/best_of.h"
#include "faiss_qbnorm/faiss/ivf_settings.h"
#include "faiss_qbnorm/faiss/open_list.h"
#include "faiss_qbnorm/faiss/scanned_items.h"
#include "faiss_qbnorm/faiss/search_base.h"

namespace faiss_qbnorm {

/// Scans the inverted lists that queries probe, one query after another.
class ListScanner {
  public:
    ListScanner(const faiss::IndexIVF& ivf, const SearchPlan& plan,
                const IvfSettings& settings, idx_t k);

    /// Scans nprobe lists for a query; label -1 stands for none.
    void scan(const float* query, const idx_t* lists,
              const float* coarse_distances);

    /// Whether what was scanned opened the gate.
    bool open() const { return open_; }
    /// The best k of it, in the one row of these lists.
    const TopLists& answer() const { return open_ ? normalised_ : raw_; }
    /// Items that were ranked.
    idx_t members() const { return members_; }

  private:
    /// Some neighbours in a list.
    struct Run {
        const std::uint8_t* codes;
        const idx_t* ids;
        size_t size;
    };

    void scan_lists(const idx_t* lists, const float* coarse_distances);
    size_t scan_list(const OpenList& list, size_t scanned);
    idx_t scan_members(const Run& list);
    size_t end_of_run(const idx_t* ids, size_t begin, size_t end) const;
    void scan_run(const Run& run);
    void make_room();
    void rank_raw();
    void rank_normalised();
    void check_labels() const;

    const faiss::IndexIVF& ivf_;
    const SearchPlan& plan_;
    const IvfSettings& settings_;
    const float sign_;  ///< times a distance: a score
    const bool is_flat_;
    const std::unique_ptr<faiss::InvertedListScanner> scanner_;
    const float* query_ = nullptr;
    std::optional<OpenList> opened_[2];
    ScannedItems items_;  ///< not ranked yet
    float bound_ = 0;     ///< no item needs ranking whose score is not higher
    std::vector<float> scores_;
    BestOf best_of_;
    TopLists raw_;
    TopLists normalised_;
    bool open_ = false;
    idx_t members_ = 0;
};

}  // namespace faiss_qbnorm
