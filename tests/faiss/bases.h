#pragma once

#include <faiss/Index.h>
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

}  // namespace bases
