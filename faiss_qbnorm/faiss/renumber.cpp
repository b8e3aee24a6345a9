#include "faiss_qbnorm/faiss/renumber.h"

#include <faiss/IndexIVF.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexIVFPQR.h>

#include <algorithm>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/faiss/unwrap.h"

namespace faiss_qbnorm {

namespace {

faiss::ArrayInvertedLists& writable_lists(const faiss::IndexIVF& ivf) {
    auto* lists = dynamic_cast<faiss::ArrayInvertedLists*>(ivf.invlists);
    require(lists != nullptr,
            "the index has labels of its own in inverted lists that cannot be "
            "renumbered (only those in memory, faiss::ArrayInvertedLists, "
            "can); put an IndexQBNorm inside an ID map instead");
    require(!dynamic_cast<const faiss::IndexIVFPQR*>(&ivf) &&
                !dynamic_cast<const faiss::IndexIVFFlatDedup*>(&ivf),
            "the index has labels of its own that stand elsewhere than in its "
            "inverted lists, too, so it cannot be renumbered");
    return *lists;
}

/// Where a vector's label stands.
struct Entry {
    idx_t label;
    idx_t* place;
};

}  // namespace

std::vector<idx_t> renumber(faiss::Index& base) {
    const auto* found = dynamic_cast<const faiss::IndexIVF*>(&innermost(base));
    require(found != nullptr,
            "the index has labels of its own; only those of IVF indexes can "
            "be renumbered");
    auto& ivf = const_cast<faiss::IndexIVF&>(*found);  // a part of `base`
    faiss::ArrayInvertedLists& lists = writable_lists(ivf);
    std::vector<Entry> entries;
    entries.reserve(ivf.ntotal);
    for (auto& ids : lists.ids) {
        for (idx_t& id : ids) entries.push_back({id, &id});
    }
    require(static_cast<idx_t>(entries.size()) == ivf.ntotal,
            "the index's lists hold ", entries.size(), " vectors but it says ",
            ivf.ntotal);
    std::stable_sort(
        entries.begin(), entries.end(),
        [](const Entry& a, const Entry& b) { return a.label < b.label; });
    std::vector<idx_t> labels;
    labels.reserve(entries.size());
    for (const Entry& entry : entries) {
        *entry.place = static_cast<idx_t>(labels.size());
        labels.push_back(entry.label);
    }
    const auto map_type = ivf.direct_map.type;
    ivf.set_direct_map_type(faiss::DirectMap::NoMap);
    ivf.set_direct_map_type(map_type);
    return labels;
}

}  // namespace faiss_qbnorm
