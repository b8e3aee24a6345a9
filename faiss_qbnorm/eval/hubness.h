#pragma once

#include <span>
#include <vector>

#include "faiss_qbnorm/core/norm_table.h"
#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm {

/// How unevenly a ranking hands out the gallery.
struct Hubness {
    idx_t k = 0;
    std::vector<idx_t> occurrences;  ///< of each item in the queries' top k
    /// Of the k-occurrence, over all items (k_skewness).
    double skewness = 0;
    /// Share of the gallery that any query has in its top k.
    double retrieved = 0;
    idx_t max_occurrence = 0;
};

/// From any number of queries' top k labels, slots with label -1 empty.
Hubness hubness(std::span<const idx_t> labels, idx_t k, idx_t gallery_size);

/// An item that comes up often.
struct Hub {
    idx_t label = -1;
    idx_t occurrence = 0;
    /// The bank queries whose raw first item it is: through them it is in the
    /// activation set (Bogolin et al. 2022, section 3.3).
    std::vector<idx_t> bank_queries;
};

/// The raw first item of every bank query.
std::vector<idx_t> first_items(const BankLists& lists);

/// The `count` items that come up most often (the lower label first where they
/// are level), those that never do left out. `bank_first` as of first_items.
std::vector<Hub> top_hubs(std::span<const idx_t> occurrences, idx_t count,
                          std::span<const idx_t> bank_first);

}  // namespace faiss_qbnorm
