#pragma once

#include <faiss/IndexFlat.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/index_io.h>

#include <cfloat>

#include "tests/cli/run.h"

/// What search and rerank are tested on.

namespace cli {

constexpr Metric metrics[] = {Metric::inner_product, Metric::l2};
constexpr Method methods[] = {Method::is, Method::dis};

inline faiss::MetricType faiss_metric(Metric metric) {
    return metric == Metric::l2 ? faiss::METRIC_L2
                                : faiss::METRIC_INNER_PRODUCT;
}

inline float empty_slot(Metric metric) {
    return metric == Metric::l2 ? FLT_MAX : -FLT_MAX;
}

class Search : public Scene {
  protected:
    const Command gallery_search =
        "search --table table.qbn --gallery gallery.npy --queries queries.npy "
        "-o out";
    const Command index_search =
        "search --table table.qbn --index index.faiss --queries queries.npy "
        "-o out";

    void fit_table(Metric metric, Method method) const {
        done(fit.with("--method", name_of(method))
                 .with("--metric", name_of(metric)));
    }

    Answer answer(const Command& command) const {
        done(command);
        return read_answer(folder / "out");
    }

    Answer answer(const Command& command, Metric metric) const {
        return answer(command.with("--metric", name_of(metric)));
    }

    // Writes the index as index.faiss, the gallery in it.
    void write(faiss::Index& index) const {
        if (!index.is_trained) index.train(gallery.rows, gallery.data.data());
        index.add(gallery.rows, gallery.data.data());
        faiss::write_index(&index, (folder / "index.faiss").c_str());
    }

    void write_ivf(Metric metric) const {
        faiss::IndexFlat quantizer(24, faiss_metric(metric));
        faiss::IndexIVFFlat ivf(&quantizer, 24, 16, faiss_metric(metric));
        write(ivf);
    }
};

// How many slots differ from those of `few`, over and over.
inline idx_t differences(const Answer& many, const Answer& few) {
    idx_t different = 0;
    for (size_t slot = 0; slot < many.labels.size(); slot++) {
        const size_t alike = slot % few.labels.size();
        different += many.labels[slot] != few.labels[alike] ||
                     many.distances[slot] != few.distances[alike];
    }
    return different;
}

}  // namespace cli
