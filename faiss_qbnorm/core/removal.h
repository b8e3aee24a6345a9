#pragma once

#include <span>
#include <vector>

#include "faiss_qbnorm/core/norm_table.h"

namespace faiss_qbnorm {

/// Items that leave a gallery, and the labels that the others then have.
class Removal {
  public:
    enum class Rule {
        leave_holes,  ///< the others keep their labels (FAISS's IVF indexes)
        close_up,     ///< they move down (its flat indexes)
    };

    /// `removed` are labels below `size`, each once.
    Removal(idx_t size, Rule rule, std::span<const idx_t> removed);

    idx_t count() const { return count_; }
    Rule rule() const { return rule_; }
    bool contains(idx_t label) const { return removed_.contains(label); }
    /// One more than the largest label afterwards.
    idx_t new_size() const;
    /// The label that an item which stays has afterwards.
    idx_t new_label(idx_t label) const;

  private:
    idx_t size_;
    Rule rule_;
    idx_t count_;
    ActivationSet removed_;
    std::vector<idx_t> before_;  ///< removed labels below each 64th
};

/// The table (whole, with bank lists) without the removed items. Its
/// fingerprint is not known and its activation sets are not decided yet: see
/// rows_to_search and decide_activation in norm_table.h.
NormTable remove(const NormTable& table, const Removal& removal);

/// The table without any item.
NormTable emptied(const NormTable& table);

/// Puts the lists `found` (as long as `lists`) in the place of some rows.
void replace_rows(BankLists& lists, std::span<const idx_t> rows,
                  const BankLists& found);

}  // namespace faiss_qbnorm
