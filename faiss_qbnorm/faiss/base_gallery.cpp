#include "faiss_qbnorm/faiss/base_gallery.h"

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVF.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/impl/FaissException.h>
#include <faiss/invlists/BlockInvertedLists.h>

#include <algorithm>
#include <typeinfo>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/parallel_errors.h"

namespace faiss_qbnorm {

namespace {

template <class Type>
bool is_exactly(const faiss::Index& index) {
    return typeid(index) == typeid(Type);
}

using Wanted = std::function<bool(idx_t)>;

void for_each_ivf_block(const faiss::IndexIVF& ivf, const Wanted& wanted,
                        const BlockVisitor& visit) {
    const int d = static_cast<int>(ivf.d);
    const idx_t step = default_block_rows(d);
    std::vector<ListEntry> entries;
    std::vector<idx_t> labels;
    std::vector<float> vectors;
    const auto flush = [&] {
        const auto rows = static_cast<idx_t>(entries.size());
        if (rows == 0) return;
        vectors.resize(rows * d);
        ParallelErrors errors;
#pragma omp parallel for
        for (idx_t i = 0; i < rows; i++) {
            errors.run([&] {
                ivf.reconstruct_from_offset(entries[i].list, entries[i].offset,
                                            vectors.data() + i * d);
            });
        }
        errors.rethrow();
        visit({{vectors.data(), rows, d}, 0, labels.data()});
        entries.clear();
        labels.clear();
    };
    for_each_label(ivf, [&](ListEntry entry, idx_t label) {
        if (wanted && !wanted(label)) return;
        entries.push_back(entry);
        labels.push_back(label);
        if (static_cast<idx_t>(entries.size()) == step) flush();
    });
    flush();
}

// The rows of a block that are wanted.
void visit_wanted(const GalleryBlock& block, const Wanted& wanted,
                  const BlockVisitor& visit) {
    std::vector<float> rows;
    std::vector<idx_t> labels;
    for (idx_t i = 0; i < block.vectors.rows; i++) {
        if (!wanted(block.label(i))) continue;
        rows.insert(rows.end(), block.vectors.row(i), block.vectors.row(i + 1));
        labels.push_back(block.label(i));
    }
    const auto n = static_cast<idx_t>(labels.size());
    if (n > 0) visit({{rows.data(), n, block.vectors.d}, 0, labels.data()});
}

void for_each_reconstructed_block(const faiss::Index& index,
                                  const BlockVisitor& visit) {
    const int d = static_cast<int>(index.d);
    const idx_t step = default_block_rows(d);
    std::vector<float> vectors(std::min<idx_t>(step, index.ntotal) * d);
    for (idx_t i = 0; i < index.ntotal; i += step) {
        const idx_t rows = std::min<idx_t>(step, index.ntotal - i);
        index.reconstruct_n(i, rows, vectors.data());
        visit({{vectors.data(), rows, d}, i});
    }
}

void for_each_base_block(const faiss::Index& index, const Wanted& wanted,
                         const BlockVisitor& visit) {
    if (const auto* ivf = dynamic_cast<const faiss::IndexIVF*>(&index)) {
        for_each_ivf_block(*ivf, wanted, visit);
        return;
    }
    const BlockVisitor selecting = [&](const GalleryBlock& block) {
        wanted ? visit_wanted(block, wanted, visit) : visit(block);
    };
    if (const auto flat = flat_vectors(index)) {
        MemoryGallery(*flat).for_each_block(0, flat->rows, selecting);
    } else {
        for_each_reconstructed_block(index, selecting);
    }
}

}  // namespace

BaseGallery::BaseGallery(const faiss::Index& index)
    : BaseGallery(index, label_range(index)) {}

BaseGallery::BaseGallery(const faiss::Index& index, idx_t size)
    : index_(index), size_(size) {}

bool BaseGallery::has_ranges() const {
    return flat_vectors(index_).has_value();
}

void BaseGallery::for_each_block(idx_t begin, idx_t end,
                                 const BlockVisitor& visit) const {
    if (begin == 0 && end == size()) {
        for_each_selected_block({}, visit);
        return;
    }
    const auto flat = flat_vectors(index_);
    require(flat.has_value(), "an index is read as a whole, not rows ", begin,
            ":", end);
    MemoryGallery(*flat).for_each_block(begin, end, visit);
}

void BaseGallery::for_each_selected_block(const Wanted& wanted,
                                          const BlockVisitor& visit) const {
    bool visiting = false;  // whose exception it is
    try {
        for_each_base_block(index_, wanted, [&](const GalleryBlock& block) {
            visiting = true;
            check_finite(block, name());
            visit(block);
            visiting = false;
        });
    } catch (const faiss::FaissException& problem) {
        if (visiting) throw;
        fail(
            "the base index cannot give its vectors back; pass the originals "
            "(ntotal x d) to set_querybank. FAISS says: ",
            problem.what());
    }
}

OriginalsGallery::OriginalsGallery(const BaseGallery& base,
                                   const MatrixView& vectors)
    : vectors_(vectors), size_(base.size()) {
    if (size_ > vectors.rows) labels_ = labels_of(base.index_);
}

void OriginalsGallery::for_each_block(idx_t begin, idx_t end,
                                      const BlockVisitor& visit) const {
    require(begin == 0 && end == size(),
            "an index's vectors are read as a whole, not rows ", begin, ":",
            end);
    MemoryGallery(vectors_).for_each_block(
        0, vectors_.rows, [&](GalleryBlock block) {
            if (!labels_.empty()) {
                block.labels = labels_.data() + block.first_label;
            }
            visit(block);
        });
}

std::optional<MatrixView> flat_vectors(const faiss::Index& index) {
    if (!is_exactly<faiss::IndexFlat>(index) &&
        !is_exactly<faiss::IndexFlatIP>(index) &&
        !is_exactly<faiss::IndexFlatL2>(index)) {
        return std::nullopt;
    }
    const auto& flat = static_cast<const faiss::IndexFlat&>(index);
    return MatrixView{flat.get_xb(), flat.ntotal, static_cast<int>(flat.d)};
}

bool is_lossless(const faiss::Index& index) {
    return flat_vectors(index) || is_exactly<faiss::IndexIVFFlat>(index) ||
           is_exactly<faiss::IndexHNSWFlat>(index);
}

bool has_packed_lists(const faiss::Index& index) {
    const auto* ivf = dynamic_cast<const faiss::IndexIVF*>(&index);
    return ivf && dynamic_cast<const faiss::BlockInvertedLists*>(
                      ivf->invlists) != nullptr;
}

}  // namespace faiss_qbnorm
