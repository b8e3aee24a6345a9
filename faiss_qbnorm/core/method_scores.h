#pragma once

#include <bit>
#include <cmath>

#include "faiss_qbnorm/core/norm_table.h"

namespace faiss_qbnorm {

/// A method and the table that it takes: of all items, and none for none and
/// gc.
struct TabledMethod {
    Method method = Method::none;
    const NormTable* table = nullptr;
};

/// The scores by which one method ranks any item for any query, the ones that
/// no offset expresses included.
class MethodScores {
  public:
    /// Throws where the table is missing, does not serve the method or is not
    /// of `items` items. Refers to the arrays of the table.
    MethodScores(const TabledMethod& tabled, idx_t items);

    Method method() const { return method_; }

    /// To be called first, with the raw top-1 of each query.
    void decide_gates(std::span<const idx_t> raw_top1);

    /// Higher ranks first, among the items of a query only. `rank` is gc's: how
    /// many bank queries score the item higher than s.
    double key(idx_t query, idx_t item, float s, idx_t rank) const {
        switch (method_) {
            case Method::none:
                return s;
            case Method::gc:
                return double{s} - static_cast<double>(rank);
            case Method::dualdis:
                return dualdis_key(query, item, s);
            default:  // as engines rank: in float32
                return gates_[query] ? s - first_.offsets[item] : s;
        }
    }

    /// What an answer says, from its key: s - offset or s; of gc s - rank; of
    /// dualdis the product of both factors or, where both gates are open, its
    /// logarithm. At most float32's largest.
    float answer(idx_t query, double key) const;

    /// Whether the query's gate is open, of dualdis either of its gates.
    bool open(idx_t query) const { return gates_[query] != 0; }
    /// How many of dualdis' gates are open.
    int open_gates(idx_t query) const { return std::popcount(gates_[query]); }

  private:
    enum Gates : std::uint8_t { closed = 0, first = 1, second = 2, both = 3 };

    // The factor of a bank is exp(beta (s - offset)) behind an open gate, else
    // s itself (Wang et al. 2023, as their code has it), compared without
    // overflow: by the logarithm where no factor can be negative, by its sign
    // and the size's logarithm where one can.
    double dualdis_key(idx_t query, idx_t item, double s) const {
        switch (gates_[query]) {
            case closed:
                return s * s;
            case both:
                return exponent(first_, item, s) + exponent(second_, item, s);
            default: {
                if (s == 0) return 0;
                const BankColumn& open =
                    gates_[query] == first ? first_ : second_;
                const double log =
                    std::log(std::fabs(s)) + exponent(open, item, s);
                return std::copysign(size_of_log(log), s);
            }
        }
    }

    static double exponent(const BankColumn& column, idx_t item, double s) {
        return double{column.beta()} * (s - column.offsets[item]);
    }

    // A positive number that grows with a logarithm and keeps its digits.
    static double size_of_log(double log) {
        return log < 0 ? 1 / (1 - log) : 1 + log;
    }

    Method method_;
    BankColumn first_;
    BankColumn second_;                // dualdis
    std::vector<std::uint8_t> gates_;  // of Gates, a query each
};

}  // namespace faiss_qbnorm
