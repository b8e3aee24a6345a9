#pragma once

#include <faiss/Index.h>

#include <optional>

#include "faiss_qbnorm/gallery.h"

namespace faiss_qbnorm {

/// The vectors that a FAISS index (no IndexPreTransform: see unwrap.h) holds,
/// read back from it: flat codes where they lie, inverted lists one after
/// another (no direct map needed), the rest through reconstruct_n. Lossy
/// indexes give approximate vectors.
class BaseGallery : public Gallery {
  public:
    /// Throws where labels are not 0 .. ntotal - 1.
    explicit BaseGallery(const faiss::Index& index);

    idx_t size() const override { return index_.ntotal; }
    int d() const override { return static_cast<int>(index_.d); }
    std::string name() const override { return "the base index"; }

    /// Only the whole range can be read.
    void for_each_block(idx_t begin, idx_t end,
                        const BlockVisitor& visit) const override;

  private:
    const faiss::Index& index_;
};

/// The vectors of IndexFlat, IndexFlatIP, IndexFlatL2 as they lie in memory;
/// nothing for any other index (subclasses may store them in another order).
std::optional<MatrixView> flat_vectors(const faiss::Index& index);

/// Whether reading back gives the very float32 vectors that were added.
bool is_lossless(const faiss::Index& index);

/// Throws where the index has labels of its own; `mend` ends the sentence.
void require_sequential_labels(const faiss::Index& index, const char* mend);

}  // namespace faiss_qbnorm
