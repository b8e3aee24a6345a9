#pragma once

#include <vector>

#include "faiss_qbnorm/core/top_lists.h"

/// Results held to plain double arithmetic, written again here.

namespace bench {

using faiss_qbnorm::idx_t;
using faiss_qbnorm::MatrixView;

double product(const float* a, const float* b, int d);

/// A few rows spread over all: the first, the last and some between.
std::vector<idx_t> sample(idx_t rows, idx_t count);

/// Throws unless the lists of the queries `rows` hold the best of the whole
/// gallery by s - offset (by s where `offsets` is nullptr), in order, but for
/// scores that float cannot tell apart.
void verify_lists(const MatrixView& gallery, const MatrixView& queries,
                  const std::vector<idx_t>& rows, const float* offsets,
                  const faiss_qbnorm::TopLists& lists);

/// Throws unless |offset - (log(mean(exp(beta s)))) / beta| <= tolerance for
/// each item of `rows`.
void verify_offsets(const MatrixView& gallery, const MatrixView& bank,
                    const std::vector<idx_t>& rows, double beta,
                    const float* offsets, double tolerance);

}  // namespace bench
