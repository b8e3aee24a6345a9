#include "faiss_qbnorm/fold/fold_transform.h"

#include <faiss/VectorTransform.h>

#include <vector>

namespace faiss_qbnorm {

namespace {

// What the second transform subtracts from [q, 0].
std::vector<float> minus_one_at_the_end(int d) {
    std::vector<float> mean(d + 1, 0.0F);
    mean.back() = -1;
    return mean;
}

// Dimensions 0 to d - 1 stay, and a zero follows.
bool appends_zero(const faiss::VectorTransform& transform) {
    const auto* remap =
        dynamic_cast<const faiss::RemapDimensionsTransform*>(&transform);
    return remap && remap->d_out == remap->d_in + 1 &&
           remap->map ==
               faiss::RemapDimensionsTransform(remap->d_in, remap->d_out, false)
                   .map;
}

}  // namespace

std::unique_ptr<faiss::IndexPreTransform> behind_one(
    std::unique_ptr<faiss::Index> inner) {
    const int d = static_cast<int>(inner->d) - 1;
    auto shift = std::make_unique<faiss::CenteringTransform>(d + 1);
    shift->mean = minus_one_at_the_end(d);
    shift->is_trained = true;
    auto remap = std::make_unique<faiss::RemapDimensionsTransform>(
        d, d + 1, /*uniform=*/false);

    auto result = std::make_unique<faiss::IndexPreTransform>(inner.get());
    result->chain.reserve(2);  // from here on nothing throws
    result->prepend_transform(shift.release());
    result->prepend_transform(remap.release());
    result->own_fields = true;
    static_cast<void>(inner.release());
    return result;
}

const faiss::IndexPreTransform* as_behind_one(const faiss::Index& index) {
    const auto* one = dynamic_cast<const faiss::IndexPreTransform*>(&index);
    if (!one || one->chain.size() != 2) return nullptr;
    const auto* shift =
        dynamic_cast<const faiss::CenteringTransform*>(one->chain[1]);
    const bool is_one =
        appends_zero(*one->chain[0]) && shift &&
        shift->mean == minus_one_at_the_end(static_cast<int>(one->d));
    return is_one ? one : nullptr;
}

faiss::IndexPreTransform behind_zero(const faiss::IndexPreTransform& one) {
    return {one.chain[0], one.index};
}

}  // namespace faiss_qbnorm
