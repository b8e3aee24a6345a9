#pragma once

#include <faiss/Index.h>

#include "faiss_qbnorm/core/removal.h"
#include "faiss_qbnorm/faiss/base_gallery.h"

namespace faiss_qbnorm {

/// What base.remove_ids(sel) will do to the labels 0 .. size - 1 of the base.
/// Throws where we do not know: IVF bases leave holes, flat codes close up.
Removal removal_of(const faiss::Index& base, idx_t size,
                   const faiss::IDSelector& sel);

/// The items that stay, under the labels that they will have.
class GalleryLeft : public Gallery {
  public:
    GalleryLeft(const BaseGallery& gallery, const Removal& removal)
        : gallery_(gallery), removal_(removal) {}

    idx_t size() const override { return removal_.new_size(); }
    idx_t holes() const override;
    int d() const override { return gallery_.d(); }
    std::string name() const override { return gallery_.name(); }
    void for_each_block(idx_t begin, idx_t end,
                        const BlockVisitor& visit) const override;

  private:
    const BaseGallery& gallery_;
    const Removal& removal_;
};

/// What the fingerprint of a lossless index's vectors becomes.
std::uint64_t fingerprint_left(std::uint64_t before, const faiss::Index& index,
                               const Removal& removal);

/// The fingerprint of the gallery with every label `by` higher.
std::uint64_t fingerprint_moved(const BaseGallery& gallery, idx_t by);

}  // namespace faiss_qbnorm
