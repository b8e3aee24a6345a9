#pragma once

#include <memory>
#include <vector>

#include "faiss_qbnorm/cli/eval_options.h"
#include "faiss_qbnorm/eval/groundtruth.h"
#include "faiss_qbnorm/similarities/similarities.h"

namespace faiss_qbnorm::cli {

/// What asks, what is searched and what for, in the direction that is asked
/// (v2t: the banks change places), the masked queries left out.
struct VectorInputs {
    std::unique_ptr<const Gallery> gallery;
    Matrix queries;
    Matrix querybank;
    Matrix gallerybank;  ///< no rows: none is given
    GroundTruth truth;
    /// What the files call item i of the gallery; empty: i.
    std::vector<idx_t> names;

    explicit VectorInputs(const EvalOptions& options);

    Banks banks() const { return {querybank.view(), gallerybank.view()}; }

  private:
    Matrix captions_;  // what `gallery` shows where queries are masked
};

/// The same from matrices.
struct MatrixInputs {
    std::unique_ptr<const Similarities> queries;
    std::unique_ptr<const Similarities> querybank;
    std::unique_ptr<const Similarities> gallerybank;  ///< may be null
    GroundTruth truth;
    std::vector<idx_t> names;

    explicit MatrixInputs(const EvalOptions& options);

  private:
    std::vector<std::unique_ptr<const Similarities>> whole_;  // before a mask
};

}  // namespace faiss_qbnorm::cli
