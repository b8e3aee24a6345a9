#include "faiss_qbnorm/faiss/removal_of.h"

#include <faiss/IndexFastScan.h>
#include <faiss/IndexFlatCodes.h>
#include <faiss/IndexIVF.h>
#include <faiss/impl/IDSelector.h>

#include <string_view>
#include <typeinfo>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/faiss/built_against.h"
#include "faiss_qbnorm/faiss/unwrap.h"

namespace faiss_qbnorm {

namespace {

// An ID map's own selector, whose type some FAISS versions keep to themselves.
bool is_from_id_map(const faiss::IDSelector& sel) {
    return std::string_view(typeid(sel).name()).find("Translated") !=
           std::string_view::npos;
}

/// A block under other labels.
struct Relabelled {
    std::vector<idx_t> labels;
    GalleryBlock block;

    template <class NewLabel>
    Relabelled(const GalleryBlock& old, NewLabel new_label) : block(old) {
        for (idx_t i = 0; i < old.vectors.rows; i++) {
            labels.push_back(new_label(old.label(i)));
        }
        block.labels = labels.data();
    }
    Relabelled(const Relabelled&) = delete;
    Relabelled& operator=(const Relabelled&) = delete;
};

}  // namespace

Removal removal_of(const faiss::Index& base, idx_t size,
                   const faiss::IDSelector& sel) {
    const faiss::Index& index = innermost(base);
    const bool is_ivf = dynamic_cast<const faiss::IndexIVF*>(&index) != nullptr;
    // There older versions throw among their threads, which ends the process.
    const bool is_fatal =
        QBNORM_FAISS_VERSION < 10900 && has_packed_lists(index);
    require(!is_fatal &&
                (is_ivf || dynamic_cast<const faiss::IndexFlatCodes*>(&index) ||
                 dynamic_cast<const faiss::IndexFastScan*>(&index)),
            "items cannot be removed from a base index of this type; exclude "
            "them by an IDSelector, or build the index again without them");
    // The map renumbers its items after a removal; IVF lists do not.
    require(!is_ivf || !is_from_id_map(sel),
            "FAISS's ID maps lose their ids over an IVF index whose items are "
            "removed; exclude them by an IDSelector, or build the index again "
            "without them");
    std::vector<idx_t> removed;
    idx_t seen = 0;
    for_each_label(index, [&](ListEntry, idx_t label) {
        require(label >= 0 && label < size,
                "base_index was changed from outside; call set_querybank");
        seen++;
        if (sel.is_member(label)) removed.push_back(label);
    });
    require(seen == index.ntotal,
            "base_index was changed from outside; call set_querybank");
    return {size, is_ivf ? Removal::Rule::leave_holes : Removal::Rule::close_up,
            removed};
}

idx_t GalleryLeft::holes() const {
    return size() - (gallery_.size() - gallery_.holes() - removal_.count());
}

void GalleryLeft::for_each_block(idx_t begin, idx_t end,
                                 const BlockVisitor& visit) const {
    require(begin == 0 && end == size(),
            "an index is read as a whole, not rows ", begin, ":", end);
    gallery_.for_each_selected_block(
        [&](idx_t label) { return !removal_.contains(label); },
        [&](const GalleryBlock& block) {
            visit(Relabelled(block, [&](idx_t label) {
                      return removal_.new_label(label);
                  }).block);
        });
}

std::uint64_t fingerprint_left(std::uint64_t before, const faiss::Index& index,
                               const Removal& removal) {
    const auto flat = flat_vectors(index);
    if (!flat) {  // in inverted lists the others keep their labels
        BaseGallery(index, index.ntotal)
            .for_each_selected_block(
                [&](idx_t label) { return removal.contains(label); },
                [&](const GalleryBlock& b) { before -= fingerprint(b); });
        return before;
    }
    // All rows under their new labels, the removed ones under 0; less those.
    std::vector<idx_t> labels(flat->rows, 0);
    std::vector<float> gone;
    for (idx_t i = 0; i < flat->rows; i++) {
        if (removal.contains(i)) {
            gone.insert(gone.end(), flat->row(i), flat->row(i + 1));
        } else {
            labels[i] = removal.new_label(i);
        }
    }
    const std::vector<idx_t> zeros(removal.count(), 0);
    return fingerprint({*flat, 0, labels.data()}) -
           fingerprint(
               {{gone.data(), removal.count(), flat->d}, 0, zeros.data()});
}

std::uint64_t fingerprint_moved(const BaseGallery& gallery, idx_t by) {
    std::uint64_t sum = 0;
    gallery.for_each_selected_block({}, [&](const GalleryBlock& block) {
        const Relabelled moved(block, [&](idx_t label) { return label + by; });
        sum += fingerprint(moved.block);
    });
    return sum;
}

}  // namespace faiss_qbnorm
