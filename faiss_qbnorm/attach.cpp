#include "faiss_qbnorm/attach.h"

#include <faiss/IndexIDMap.h>
#include <faiss/impl/FaissException.h>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/faiss/base_labels.h"
#include "faiss_qbnorm/faiss/id_map.h"
#include "faiss_qbnorm/faiss/renumber.h"
#include "faiss_qbnorm/faiss/unwrap.h"

namespace faiss_qbnorm {

namespace {

/// What the vectors are normalised with.
struct Fit {
    const Normalization& normalization;
    const Banks& banks;
    const float* gallery;
    std::shared_ptr<const Engine> engine;
};

std::unique_ptr<IndexQBNorm> normalised(faiss::Index* base, const Fit& fit) {
    auto index = std::make_unique<IndexQBNorm>(base, fit.engine);
    require(base->is_trained,
            "the index is not trained; train and fill it first");
    index->normalization = fit.normalization;
    const auto& [querybank, gallerybank] = fit.banks;
    const int d = static_cast<int>(index->d);
    require(querybank.d == d && (gallerybank.rows == 0 || gallerybank.d == d),
            "the banks are not of the index's dimension ", d);
    index->set_banks(querybank.rows, querybank.data, gallerybank.rows,
                     gallerybank.data, fit.gallery);
    return index;
}

std::unique_ptr<faiss::Index> attach_inside(
    std::unique_ptr<faiss::IndexIDMap> map, const Fit& fit) {
    require(has_sequential_labels(innermost(*map->index)),
            "the index in the ID map has labels of its own, which the map "
            "does not know");
    auto inside = normalised(map->index, fit);
    inside->own_fields = map->own_fields;
    map->index = inside.release();
    map->own_fields = true;
    return map;
}

std::unique_ptr<faiss::Index> attach_around(std::unique_ptr<faiss::Index> base,
                                            const Fit& fit) {
    std::vector<idx_t> ids;
    if (!has_sequential_labels(innermost(*base))) ids = renumber(*base);
    auto index = normalised(base.get(), fit);
    static_cast<void>(base.release());
    index->own_fields = true;
    if (ids.empty()) return index;
    auto map = in_id_map<faiss::IndexIDMap2>(std::move(index), std::move(ids));
    map->construct_rev_map();
    return map;
}

}  // namespace

std::unique_ptr<faiss::Index> attach(std::unique_ptr<faiss::Index> index,
                                     const Normalization& normalization,
                                     const Banks& banks, const float* gallery,
                                     std::shared_ptr<const Engine> engine) {
    try {
        require(index != nullptr, "the index is a null pointer");
        const Fit fit{normalization, banks, gallery, std::move(engine)};
        auto* map = dynamic_cast<faiss::IndexIDMap*>(index.get());
        if (!map) return attach_around(std::move(index), fit);
        static_cast<void>(index.release());
        return attach_inside(std::unique_ptr<faiss::IndexIDMap>(map), fit);
    } catch (const Error& problem) {
        throw faiss::FaissException(problem.what());
    }
}

}  // namespace faiss_qbnorm
