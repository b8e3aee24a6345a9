#pragma once

#include <functional>
#include <vector>

#include "faiss_qbnorm/core/top_lists.h"

/// Results held to plain double arithmetic, written again here.

namespace bench {

using faiss_qbnorm::idx_t;
using faiss_qbnorm::MatrixView;
using faiss_qbnorm::Scored;

/// Of float scores and offsets of about 1.
inline constexpr double float_rounding = 3e-7;

double product(const float* a, const float* b, int d);

/// A few rows spread over all: the first, the last and some between.
std::vector<idx_t> sample(idx_t rows, idx_t count);

/// An item's right score; minus infinity where no answer may hold it.
using RightScore = std::function<double(idx_t)>;

/// Throws unless the list of `query` holds the best of `items` items, each once
/// and with its right score, but for scores closer than `tolerance`.
void verify_list(idx_t items, const RightScore& right, idx_t query,
                 const std::vector<Scored>& list, double tolerance);

/// Throws unless the lists of the queries `rows` hold the best of the whole
/// gallery by s - offset (by s where `offsets` is nullptr), in order, but for
/// scores that float cannot tell apart.
void verify_lists(const MatrixView& gallery, const MatrixView& queries,
                  const std::vector<idx_t>& rows, const float* offsets,
                  const faiss_qbnorm::TopLists& lists);

/// Throws unless |offset - (log(mean(exp(beta s)))) / beta| <= tolerance for
/// each item of `rows`; returns the largest.
double verify_offsets(const MatrixView& gallery, const MatrixView& bank,
                      const std::vector<idx_t>& rows, double beta,
                      const float* offsets, double tolerance);

}  // namespace bench
