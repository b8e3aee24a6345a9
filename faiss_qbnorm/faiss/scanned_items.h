#pragma once

#include <faiss/IndexIVF.h>
#include <faiss/impl/AuxIndexStructures.h>

#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm {

/// Room for items out of inverted lists: their ids, and their distances as
/// FAISS's own loop over a list computes and rounds them.
class ScannedItems {
  public:
    static constexpr size_t room = 4096;

    ScannedItems() : result_(0, false), partial_(&result_) {
        partial_.buffer_size = room;
        partial_.append_buffer();
        partial_.new_result(0);
    }
    ScannedItems(const ScannedItems&) = delete;
    ScannedItems& operator=(const ScannedItems&) = delete;

    size_t size() const { return partial_.wp; }
    const float* distances() const { return partial_.buffers.front().dis; }
    const idx_t* ids() const { return partial_.buffers.front().ids; }

    void clear() { partial_.wp = 0; }
    void push(float distance, idx_t id) { partial_.add(id, distance); }

    /// Adds those of n items, for which there must be room, that are nearer
    /// than the radius: none whose distance is NaN, or infinitely far.
    void scan(const faiss::InvertedListScanner& scanner, size_t n,
              const std::uint8_t* codes, const idx_t* ids, float radius) {
        scanner.scan_codes_range(n, codes, ids, radius,
                                 partial_.queries.front());
    }

  private:
    faiss::RangeSearchResult result_;
    faiss::RangeSearchPartialResult partial_;
};

}  // namespace faiss_qbnorm
