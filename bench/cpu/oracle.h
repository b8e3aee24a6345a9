#pragma once

#include "bench/common/verify.h"
#include "faiss_qbnorm/core/norm_table.h"

/// Tables and answers held to the papers' formulas in double.

namespace bench {

using faiss_qbnorm::BankColumn;
using faiss_qbnorm::Method;
using faiss_qbnorm::NormTable;

/// Of fp32 offsets (beta 20, unit vectors).
inline constexpr double offset_tolerance = 1e-5;

/// What a search answered, k a query: inner products, less offsets where the
/// gate is open.
struct Answered {
    idx_t k;
    const float* scores;
    const idx_t* labels;

    /// Without the empty slots at its end.
    std::vector<Scored> list(idx_t query) const;
};

/// A query's raw score with every item; minus infinity where a search does not
/// look at it.
using RawScores = std::function<std::vector<double>(idx_t query)>;

/// Of inner products with a whole gallery.
RawScores products(const MatrixView& gallery, const MatrixView& queries);

/// Throws unless the queries `rows` were answered with the best items under
/// `method`, but for scores closer than `tolerance`.
void verify_answers(const RawScores& raw, const BankColumn& column,
                    Method method, const std::vector<idx_t>& rows,
                    const Answered& answered,
                    double tolerance = float_rounding);

/// Both methods that normalise, since under dis hardly a gate of random queries
/// opens; dis, which is timed, comes last.
inline constexpr Method both_methods[] = {Method::is, Method::dis};

/// Throws unless samples of the table's offsets and bank lists are right, and
/// its activation set is that of its lists; returns the offsets' largest error.
double verify_table(const NormTable& table, const MatrixView& gallery,
                    const MatrixView& bank,
                    double tolerance = offset_tolerance);

}  // namespace bench
