#include "faiss_qbnorm/faiss/base_gallery.h"

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVF.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/impl/FaissException.h>

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

struct ListEntry {
    idx_t list;
    idx_t offset;
};

void for_each_ivf_block(const faiss::IndexIVF& ivf, const BlockVisitor& visit) {
    const int d = static_cast<int>(ivf.d);
    const idx_t step = default_block_rows(d);
    std::vector<ListEntry> entries;
    std::vector<idx_t> labels;
    std::vector<float> vectors;
    const auto flush = [&] {
        const auto rows = static_cast<idx_t>(entries.size());
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
    for (size_t list = 0; list < ivf.nlist; list++) {
        const size_t size = ivf.invlists->list_size(list);
        const faiss::InvertedLists::ScopedIds ids(ivf.invlists, list);
        for (size_t i = 0; i < size; i++) {
            entries.push_back(
                {static_cast<idx_t>(list), static_cast<idx_t>(i)});
            labels.push_back(ids[i]);
            if (static_cast<idx_t>(entries.size()) == step) flush();
        }
    }
    if (!entries.empty()) flush();
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

void for_each_base_block(const faiss::Index& index, const BlockVisitor& visit) {
    if (const auto flat = flat_vectors(index)) {
        MemoryGallery(*flat).for_each_block(0, flat->rows, visit);
    } else if (const auto* ivf = dynamic_cast<const faiss::IndexIVF*>(&index)) {
        for_each_ivf_block(*ivf, visit);
    } else {
        for_each_reconstructed_block(index, visit);
    }
}

}  // namespace

BaseGallery::BaseGallery(const faiss::Index& index) : index_(index) {
    require_sequential_labels(
        index,
        "; put IndexQBNorm inside an ID map (idmap->index = new "
        "IndexQBNorm(idmap->index)), not around it");
}

void BaseGallery::for_each_block(idx_t begin, idx_t end,
                                 const BlockVisitor& visit) const {
    require(begin == 0 && end == size(),
            "an index is read as a whole, not rows ", begin, ":", end);
    bool visiting = false;  // whose exception it is
    try {
        for_each_base_block(index_, [&](const GalleryBlock& block) {
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

void require_sequential_labels(const faiss::Index& index, const char* mend) {
    if (dynamic_cast<const faiss::IndexIDMap*>(&index)) {
        fail("the base index has labels of its own", mend);
    } else if (const auto* ivf = dynamic_cast<const faiss::IndexIVF*>(&index)) {
        std::vector<bool> seen(ivf->ntotal, false);
        for (size_t list = 0; list < ivf->nlist; list++) {
            const size_t size = ivf->invlists->list_size(list);
            const faiss::InvertedLists::ScopedIds ids(ivf->invlists, list);
            for (size_t i = 0; i < size; i++) {
                require(ids[i] >= 0 && ids[i] < ivf->ntotal && !seen[ids[i]],
                        "the base index holds label ", ids[i], " among ",
                        ivf->ntotal,
                        " vectors, but labels must be 0 to ntotal - 1, each "
                        "once",
                        mend);
                seen[ids[i]] = true;
            }
        }
    }
}

}  // namespace faiss_qbnorm
