#pragma once

#include <optional>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "faiss_qbnorm/faiss/unwrap.h"

namespace faiss_qbnorm {

/// Banks as innermost(base) takes them.
struct IndexQBNorm::TransformedBanks {
    TransformedBanks(const faiss::Index& base, const Banks& given)
        : querybank(base, given.querybank) {
        if (given.gallerybank.rows > 0) {
            gallerybank.emplace(base, given.gallerybank);
        }
    }

    Banks banks() const {
        return {querybank.view(),
                gallerybank ? gallerybank->view() : MatrixView{}};
    }

    Transformed querybank;
    std::optional<Transformed> gallerybank;
};

}  // namespace faiss_qbnorm
