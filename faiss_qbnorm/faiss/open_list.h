#pragma once

#include <faiss/invlists/InvertedLists.h>

#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm {

/// The codes and ids of an inverted list while it is being read. Opened a
/// little before, its beginning is in the processor's cache by then.
class OpenList {
  public:
    OpenList(const faiss::InvertedLists& lists, idx_t list)
        : list_(list),
          size_(lists.list_size(list)),
          codes_(&lists, list),
          ids_(&lists, list) {
        fetch(codes(), 16);
        fetch(ids(), 8);
    }
    OpenList(const OpenList&) = delete;
    OpenList& operator=(const OpenList&) = delete;

    idx_t list() const { return list_; }
    size_t size() const { return size_; }
    const std::uint8_t* codes() const { return codes_.codes; }
    const idx_t* ids() const { return ids_.ids; }

  private:
    // Fetching what is not there does no harm.
    static void fetch(const void* begin, int cache_lines) {
        const auto* bytes = static_cast<const std::uint8_t*>(begin);
        for (int i = 0; i < cache_lines; i++) {
            __builtin_prefetch(bytes + 64 * i);
        }
    }

    idx_t list_;
    size_t size_;
    faiss::InvertedLists::ScopedCodes codes_;
    faiss::InvertedLists::ScopedIds ids_;
};

}  // namespace faiss_qbnorm
