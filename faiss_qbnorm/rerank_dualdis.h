#pragma once

#include "faiss_qbnorm/engine.h"

namespace faiss_qbnorm {

/// Candidate lists -> the best k under dualdis, whose gates each list's own raw
/// top-1 decides; on the CPU, whatever the engine. For scores see
/// MethodScores::answer; compare within a row. `both_open`, where given, gets 1
/// for every list whose gates are both open. Throws where the table does not
/// serve dualdis, a label is not in it or a score is NaN or Inf.
void rerank_dualdis(const NormTable& table, const Candidates& candidates,
                    idx_t k, const Answers& answers,
                    std::uint8_t* both_open = nullptr);

}  // namespace faiss_qbnorm
