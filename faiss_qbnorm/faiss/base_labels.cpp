#include "faiss_qbnorm/faiss/base_labels.h"

#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVF.h>

#include <algorithm>

#include "faiss_qbnorm/core/error.h"

namespace faiss_qbnorm {

namespace {

constexpr const char* map_advice =
    "; put IndexQBNorm inside an ID map (idmap->index = new "
    "IndexQBNorm(idmap->index)), not around it";

bool is_id_map(const faiss::Index& index) {
    return dynamic_cast<const faiss::IndexIDMap*>(&index) != nullptr;
}

}  // namespace

void for_each_label(const faiss::Index& index,
                    const std::function<void(ListEntry, idx_t)>& visit) {
    const auto* ivf = dynamic_cast<const faiss::IndexIVF*>(&index);
    if (!ivf) {
        for (idx_t i = 0; i < index.ntotal; i++) visit({0, i}, i);
        return;
    }
    require(ivf->invlists != nullptr, "the index has no inverted lists");
    for (size_t list = 0; list < ivf->nlist; list++) {
        const size_t size = ivf->invlists->list_size(list);
        const faiss::InvertedLists::ScopedIds ids(ivf->invlists, list);
        for (size_t i = 0; i < size; i++) {
            visit({static_cast<idx_t>(list), static_cast<idx_t>(i)}, ids[i]);
        }
    }
}

std::vector<idx_t> labels_of(const faiss::Index& index) {
    std::vector<idx_t> labels;
    labels.reserve(index.ntotal);
    for_each_label(index,
                   [&](ListEntry, idx_t label) { labels.push_back(label); });
    std::sort(labels.begin(), labels.end());
    return labels;
}

idx_t most_labels(idx_t items) {
    constexpr idx_t labels_per_item = 16;
    constexpr idx_t always_allowed = idx_t{1} << 20;
    return std::max(labels_per_item * items, always_allowed);
}

idx_t label_range(const faiss::Index& index, idx_t allowed) {
    require(!is_id_map(index), "the base index has labels of its own",
            map_advice);
    if (!dynamic_cast<const faiss::IndexIVF*>(&index)) return index.ntotal;
    const idx_t limit = std::max(most_labels(index.ntotal), allowed);
    std::vector<bool> seen;
    for_each_label(index, [&](ListEntry, idx_t label) {
        require(label >= 0 && label < limit, "the base index holds label ",
                label, " among ", index.ntotal,
                " vectors, but labels must be 0 to ntotal - 1, or nearly so; "
                "give it such labels (qbnorm attach does)",
                map_advice);
        if (label >= static_cast<idx_t>(seen.size())) {
            seen.resize(std::max<size_t>(label + 1, 2 * seen.size()));
        }
        require(!seen[label], "the base index holds label ", label,
                " more than once; give each vector its own");
        seen[label] = true;
    });
    while (!seen.empty() && !seen.back()) seen.pop_back();
    return static_cast<idx_t>(seen.size());
}

bool has_sequential_labels(const faiss::Index& index) {
    if (is_id_map(index)) return false;
    std::vector<bool> seen(index.ntotal, false);
    idx_t found = 0;
    for_each_label(index, [&](ListEntry, idx_t label) {
        if (label < 0 || label >= index.ntotal || seen[label]) return;
        seen[label] = true;
        found++;
    });
    return found == index.ntotal;
}

void require_sequential_labels(const faiss::Index& index, const char* mend) {
    require(!is_id_map(index), "the base index has labels of its own", mend);
    require(has_sequential_labels(index), "the labels of the base index's ",
            index.ntotal, " vectors must be 0 to ntotal - 1, each once", mend);
}

}  // namespace faiss_qbnorm
