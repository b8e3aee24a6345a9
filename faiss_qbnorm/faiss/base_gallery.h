#pragma once

#include <faiss/Index.h>

#include <functional>
#include <optional>

#include "faiss_qbnorm/faiss/base_labels.h"
#include "faiss_qbnorm/gallery.h"

namespace faiss_qbnorm {

/// The vectors that a FAISS index (no IndexPreTransform: see unwrap.h) holds,
/// read back from it: flat codes where they lie, inverted lists one after
/// another (no direct map needed), the rest through reconstruct_n. Lossy
/// indexes give approximate vectors.
class BaseGallery : public Gallery {
  public:
    /// Throws where the labels cannot be a table's: see label_range.
    explicit BaseGallery(const faiss::Index& index);
    /// Of an index whose labels are known to be below `size`.
    BaseGallery(const faiss::Index& index, idx_t size);

    idx_t size() const override { return size_; }
    idx_t holes() const override { return size_ - index_.ntotal; }
    int d() const override { return static_cast<int>(index_.d); }
    std::string name() const override { return "the base index"; }

    /// A flat base's have ranges.
    bool has_ranges() const override;
    void for_each_block(idx_t begin, idx_t end,
                        const BlockVisitor& visit) const override;

    /// The items that `wanted` says yes to.
    void for_each_selected_block(const std::function<bool(idx_t)>& wanted,
                                 const BlockVisitor& visit) const;

  private:
    friend class OriginalsGallery;

    const faiss::Index& index_;
    idx_t size_;
};

/// Vectors from elsewhere in the place of a base's own: rows in the order of
/// the base's labels.
class OriginalsGallery : public Gallery {
  public:
    OriginalsGallery(const BaseGallery& base, const MatrixView& vectors);

    idx_t size() const override { return size_; }
    idx_t holes() const override { return size_ - vectors_.rows; }
    int d() const override { return vectors_.d; }
    std::string name() const override { return "gallery"; }
    bool has_ranges() const override { return false; }
    void for_each_block(idx_t begin, idx_t end,
                        const BlockVisitor& visit) const override;

  private:
    MatrixView vectors_;
    idx_t size_;
    std::vector<idx_t> labels_;  ///< empty where there are no holes
};

/// The vectors of IndexFlat, IndexFlatIP, IndexFlatL2 as they lie in memory;
/// nothing for any other index (subclasses may store them in another order).
std::optional<MatrixView> flat_vectors(const faiss::Index& index);

/// Whether reading back gives the very float32 vectors that were added.
bool is_lossless(const faiss::Index& index);

/// Whether codes lie in inverted lists as FastScan packs them.
bool has_packed_lists(const faiss::Index& index);

}  // namespace faiss_qbnorm
