#pragma once

#include "faiss_qbnorm/engine.h"

namespace faiss_qbnorm {

/// Candidate lists -> the best k under dualdis, whose gates each list's own raw
/// top-1 decides; on the CPU, whatever the engine. For scores see
/// MethodScores::answer; compare within a row. `open_gates`, where given, gets
/// how many of a list's gates are open. Throws where the table does not
/// serve dualdis, a label is not in it or a score is NaN or Inf.
void rerank_dualdis(const NormTable& table, const Candidates& candidates,
                    idx_t k, const Answers& answers,
                    std::uint8_t* open_gates = nullptr);

}  // namespace faiss_qbnorm
