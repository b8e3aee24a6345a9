#pragma once

#include "bench/cpu/setup.h"

namespace bench {

/// Building the table: against the fp32 product alone, in each precision, and
/// with bank lists against without.
void bench_probe(const Setup& setup);

/// Searches over IVF bases against the bare base.
void bench_ivf(const Setup& setup);

/// Searches over an HNSW base against the bare base.
void bench_hnsw(const Setup& setup);

/// What of the full scan's answer each cheaper way finds, and how fast.
void bench_curve(const Setup& setup);

/// Searches from many host threads against one.
void bench_threads(const Setup& setup);

/// Reranking random candidates of a large table against reading their offsets.
void bench_rerank(const Setup& setup);

/// Adding items to a fitted index against fitting it again.
void bench_add(const Setup& setup);

/// Fitting a mapped file by the command line against fitting it in memory, and
/// the memory it takes.
void bench_file(const Setup& setup);

}  // namespace bench
