#pragma once

#include <span>
#include <vector>

#include "faiss_qbnorm/core/activation_set.h"
#include "faiss_qbnorm/core/normalization.h"
#include "faiss_qbnorm/core/shared_array.h"
#include "faiss_qbnorm/core/top_lists.h"

namespace faiss_qbnorm {

/// Which bank a column was made with (Wang et al., "Balance Act", EMNLP 2023,
/// add the gallerybank to the querybank).
enum class Bank : std::uint32_t { querybank = 0, gallerybank = 1 };

/// "querybank", "gallerybank".
std::string name_of(Bank bank);

/// For every bank query its best `length` items of the gallery, in ranking
/// order; rows are padded with label -1. From them activation sets merge
/// exactly, which the sets themselves do not. Where items were removed, a row
/// may be shorter than `length` and the gallery: what would follow is unknown.
struct BankLists {
    idx_t length = 0;
    SharedArray<idx_t> labels;  ///< bank_size x length
    SharedArray<float> scores;  ///< bank_size x length

    /// How many items the list of a bank query holds.
    idx_t known(idx_t row) const;
};

/// What one bank says about every item of a table's row range.
struct BankColumn {
    Bank bank = Bank::querybank;
    Normalization normalization;  ///< what the column was made with
    idx_t bank_size = 0;
    std::uint64_t bank_fingerprint = 0;
    SharedArray<float> offsets;  ///< of item begin + i, in the unit of a score
    ActivationSet activation;    ///< of item begin + i; empty where not of IS
    BankLists lists;             ///< labels are the gallery's
    /// dbsn: the logarithm of each bank query's weight, whose mean is 1.
    SharedArray<float> log_weights = {};

    /// Whether gates can be decided by it, so that it has activation and lists.
    bool has_activation() const {
        return column_kind(normalization.method) == Method::is;
    }
    /// Whether its bank's queries have weights.
    bool has_weights() const { return normalization.method == Method::dbsn; }
    /// Of its softmax.
    float beta() const {
        return bank == Bank::querybank ? normalization.beta
                                       : normalization.beta2;
    }
};

/// The normalisation of a gallery, or of its rows [begin, end): all that
/// crosses from fitting to searching, 4 bytes and 1 bit per item and column.
struct NormTable {
    int d = 0;
    Metric metric = Metric::inner_product;
    idx_t gallery_size = 0;  ///< labels are 0 .. gallery_size - 1
    idx_t begin = 0;
    idx_t end = 0;
    /// Of the rows, see matrix.h; 0 where it is not known.
    std::uint64_t fingerprint = 0;
    std::vector<BankColumn> columns;
    /// Labels of [begin, end) that no item has, since it was removed. Their
    /// offsets mean nothing.
    idx_t holes = 0;

    idx_t size() const { return end - begin; }
    idx_t items() const { return size() - holes; }
    bool is_whole() const { return begin == 0 && end == gallery_size; }
};

/// Whether columns of two galleries were made by the same means, so that they
/// join into one.
bool same_bank_and_fit(const BankColumn& a, const BankColumn& b);

/// Throws where the sizes of the table's arrays do not agree, or its columns
/// are of methods that share none, or two of one bank.
void check(const NormTable& table);

/// The column of `bank`; throws where the table has none.
const BankColumn& column_of(const NormTable& table, Bank bank);

/// What the table was fitted with.
const Normalization& normalization_of(const NormTable& table);

/// Throws unless the table was fitted for `method` (with `bank`, where the
/// method takes one bank) or another that shares its columns.
void check_serves(const NormTable& table, Method method,
                  Bank bank = Bank::querybank);

/// The column whose offsets `method` takes from scores, as check_serves allows:
/// one of the table's or, for dualis, what its two columns come to. Of none it
/// is the first.
BankColumn ranking_column(const NormTable& table, Method method,
                          Bank bank = Bank::querybank);

/// The largest offset by magnitude; throws where one is NaN or Inf.
float largest_offset(const BankColumn& column);

/// The lists of a finished probe.
BankLists to_bank_lists(const TopLists& winners);

/// What a probe of more items begins with.
TopLists to_top_lists(const BankLists& lists, idx_t bank_size);

/// The items among the first `activation_k` of any row of `lists`, as a set
/// over rows [begin, end) of the gallery. The rows must be long enough.
ActivationSet activation_from_lists(const BankLists& lists, idx_t activation_k,
                                    idx_t begin, idx_t end);

/// The bank queries whose lists lost so many items that they no longer decide
/// the activation set.
std::vector<idx_t> rows_to_search(const NormTable& table,
                                  const BankColumn& column);

/// Makes the activation sets from the bank lists. Throws where there are
/// rows_to_search.
void decide_activation(NormTable& table);

}  // namespace faiss_qbnorm
