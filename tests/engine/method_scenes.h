#pragma once

#include <random>
#include <string>
#include <vector>

#include "faiss_qbnorm/fit.h"
#include "tests/data.h"
#include "tests/method_offsets.h"

/// Every method that ranks by an offset, beyond is and dis, with
/// hyperparameters at their defaults and at odd places.

namespace scenes {

using namespace faiss_qbnorm;

inline Normalization csls(idx_t neighbours) {
    Normalization result = Method::csls;
    result.neighbours = neighbours;
    return result;
}

inline Normalization nnn(idx_t neighbours, float alpha) {
    Normalization result = Method::nnn;
    result.neighbours = neighbours;
    result.alpha = alpha;
    return result;
}

inline Normalization dualis(float beta, float beta2) {
    Normalization result = Method::dualis;
    result.beta = beta;
    result.beta2 = beta2;
    return result;
}

inline Normalization dbsn(float beta, int iterations = 10) {
    Normalization result = Method::dbsn;
    result.beta = beta;
    result.iterations = iterations;
    return result;
}

/// More neighbours than any bank here has.
inline std::vector<Normalization> all() {
    return {Method::csls,  csls(1),      csls(5000),   Method::nnn,
            nnn(3, 2),     nnn(10, 0),   Method::cent, Method::dualis,
            dualis(1, 50), Method::dbsn, dbsn(2.5F, 1)};
}

inline bool has_metric(const Normalization& normalization, Metric metric) {
    return normalization.method != Method::cent ||
           metric == Metric::inner_product;
}

/// Weights of mean 1 that nothing has learned.
inline std::vector<float> some_log_weights(idx_t bank_size) {
    std::mt19937 random(6);
    std::uniform_real_distribution<float> weight(0.05F, 3);
    std::vector<float> weights(bank_size);
    double sum = 0;
    for (float& w : weights) sum += w = weight(random);
    for (float& w : weights) {
        w = static_cast<float>(
            std::log(w * static_cast<double>(bank_size) / sum));
    }
    return weights;
}

/// A gallery with both banks.
struct Scene {
    Metric metric;
    Matrix gallery;
    Matrix bank;
    Matrix gallerybank;

    FitOptions options(const Normalization& normalization) const {
        FitOptions result;
        result.metric = metric;
        result.normalization = normalization;
        if (normalization.method == Method::dbsn) {
            result.log_weights = some_log_weights(bank.rows);
        }
        return result;
    }

    Banks banks() const { return {bank.view(), gallerybank.view()}; }

    NormTable fit_with(const Engine& engine,
                       const Normalization& normalization) const {
        return fit(engine, MemoryGallery(gallery.view()), banks(),
                   options(normalization));
    }

    oracle::Row offsets(const Normalization& normalization) const {
        oracle::Banked from{metric, gallery.view(), bank.view(),
                            gallerybank.view()};
        if (normalization.method == Method::dbsn) {
            const auto weights = some_log_weights(bank.rows);
            from.log_weights.assign(weights.begin(), weights.end());
        }
        return oracle::offsets_of(normalization, from);
    }
};

inline Scene scene(Metric metric, idx_t items, idx_t bank, idx_t gallerybank,
                   int d) {
    return {metric, testdata::unit(items, d, 21), testdata::unit(bank, d, 22),
            testdata::unit(gallerybank, d, 23)};
}

}  // namespace scenes
