#pragma once

#include <string>
#include <vector>

#include "faiss_qbnorm/eval/groundtruth.h"
#include "faiss_qbnorm/io/vector_file.h"

/// What the papers' experiments are run on.

namespace papers {

using faiss_qbnorm::GroundTruth;
using faiss_qbnorm::idx_t;
using faiss_qbnorm::Matrix;

/// Queries that ask for items, and banks of neither. Rows are unit vectors.
struct Problem {
    Matrix gallery;
    Matrix queries;
    Matrix querybank;
    Matrix gallerybank;  ///< no rows where there is none
    GroundTruth truth;
    Matrix val_gallery;  ///< no rows where there are no validation pairs
    Matrix val_queries;  ///< query i asks for item i
};

/// Items ask for queries: both sides change places, and the banks with them.
Problem reversed(const Problem& problem);

/// The d leading principal axes of both banks together, rows of unit length
/// again. Not centred: at full dimension every score would be what it was.
Problem projected(const Problem& problem, int d);

/// A folder of arrays, as bench/data/README.md describes them.
struct Dataset {
    std::string name;
    Problem problem;
    /// A querybank of another domain; no rows where there is none.
    Matrix far;
    std::string far_name;
    /// Rows of the querybank about other subjects than the gallery's.
    std::vector<idx_t> off_topic;
};

/// The datasets in `folder`'s folders, by name, or that of `folder` itself.
/// Throws where there is none. A dataset without a far bank is given the
/// querybank of another with the same dimension, where there is one.
std::vector<Dataset> read_datasets(const std::string& folder);

}  // namespace papers
