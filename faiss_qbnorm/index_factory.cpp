#include "faiss_qbnorm/index_factory.h"

#include <faiss/IndexIDMap.h>
#include <faiss/index_factory.h>

#include <string>
#include <string_view>

#include "faiss_qbnorm/IndexQBNorm.h"

namespace faiss_qbnorm {

namespace {

std::unique_ptr<IndexQBNorm> wrap(std::unique_ptr<faiss::Index> base,
                                  std::shared_ptr<const Engine> engine) {
    auto index = std::make_unique<IndexQBNorm>(base.get(), std::move(engine));
    static_cast<void>(base.release());
    index->own_fields = true;
    return index;
}

}  // namespace

faiss::Index* qbnorm_index_factory(int d, const char* description,
                                   faiss::MetricType metric,
                                   std::shared_ptr<const Engine> engine) {
    constexpr std::string_view suffix = ",QBNorm";
    std::string text = description;
    if (!std::string_view(text).ends_with(suffix)) {
        return faiss::index_factory(d, description, metric);
    }
    text.resize(text.size() - suffix.size());
    std::unique_ptr<faiss::Index> base(
        faiss::index_factory(d, text.c_str(), metric));
    auto* map = dynamic_cast<faiss::IndexIDMap*>(base.get());
    if (!map) return wrap(std::move(base), std::move(engine)).release();
    std::unique_ptr<faiss::Index> inside(map->index);
    map->own_fields = false;
    map->index = wrap(std::move(inside), std::move(engine)).release();
    map->own_fields = true;
    return base.release();
}

}  // namespace faiss_qbnorm
