#pragma once

#include <faiss/Index.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/index_factory.h>

#include <memory>
#include <string>

#include "faiss_qbnorm/core/types.h"
#include "faiss_qbnorm/io/vector_file.h"

/// FAISS indexes to wrap.

namespace bases {

using faiss_qbnorm::Matrix;

inline faiss::MetricType faiss_metric(faiss_qbnorm::Metric metric) {
    return metric == faiss_qbnorm::Metric::l2 ? faiss::METRIC_L2
                                              : faiss::METRIC_INNER_PRODUCT;
}

/// A trained index of FAISS's factory, filled with `gallery`.
inline std::unique_ptr<faiss::Index> make(const std::string& factory,
                                          faiss_qbnorm::Metric metric,
                                          const Matrix& gallery) {
    std::unique_ptr<faiss::Index> index(
        faiss::index_factory(gallery.d, factory.c_str(), faiss_metric(metric)));
    index->train(gallery.rows, gallery.data.data());
    index->add(gallery.rows, gallery.data.data());
    return index;
}

/// Vectors as the index behind `base`'s transforms takes them.
inline Matrix transformed(const faiss::Index& base, const Matrix& vectors) {
    const auto* pre = dynamic_cast<const faiss::IndexPreTransform*>(&base);
    if (!pre) return vectors;
    const float* there = pre->apply_chain(vectors.rows, vectors.data.data());
    const int d = static_cast<int>(pre->index->d);
    Matrix result{{there, there + vectors.rows * d}, vectors.rows, d};
    if (there != vectors.data.data()) delete[] there;
    return result;
}

}  // namespace bases
