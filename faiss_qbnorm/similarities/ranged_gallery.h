#pragma once

#include <optional>
#include <vector>

#include "faiss_qbnorm/gallery.h"

namespace faiss_qbnorm {

/// A gallery that can be read in ranges: the one that is given or, where that
/// cannot, its items in memory, with labels 0, 1, ... in the order they came.
class RangedGallery {
  public:
    /// Refers to `gallery`, which must outlive this.
    explicit RangedGallery(const Gallery& gallery) : gallery_(&gallery) {
        if (gallery.has_ranges()) return;
        idx_t rows = 0;
        gallery.for_each_block(0, gallery.size(), [&](const GalleryBlock& b) {
            const float* first = b.vectors.data;
            copied_.insert(copied_.end(), first,
                           first + b.vectors.rows * b.vectors.d);
            rows += b.vectors.rows;
        });
        gallery_ =
            &in_memory_.emplace(MatrixView{copied_.data(), rows, gallery.d()});
    }
    RangedGallery(const RangedGallery&) = delete;
    RangedGallery& operator=(const RangedGallery&) = delete;

    const Gallery& get() const { return *gallery_; }

  private:
    const Gallery* gallery_;
    std::vector<float> copied_;
    std::optional<MemoryGallery> in_memory_;
};

}  // namespace faiss_qbnorm
