#pragma once

#include <faiss/IndexIDMap.h>

#include <memory>
#include <utility>
#include <vector>

#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm {

/// A filled index in an ID map of the kind Map, which owns it: FAISS's own
/// constructors take empty indexes only. Label i becomes ids[i].
template <class Map>
std::unique_ptr<Map> in_id_map(std::unique_ptr<faiss::Index> index,
                               std::vector<idx_t>&& ids) {
    auto map = std::make_unique<Map>();
    map->d = index->d;
    map->ntotal = index->ntotal;
    map->is_trained = index->is_trained;
    map->metric_type = index->metric_type;
    map->metric_arg = index->metric_arg;
    map->id_map = std::move(ids);
    map->index = index.release();
    map->own_fields = true;
    return map;
}

}  // namespace faiss_qbnorm
