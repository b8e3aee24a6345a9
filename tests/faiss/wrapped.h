#pragma once

#include <faiss/Index.h>
#include <faiss/impl/FaissException.h>

#include <memory>
#include <vector>

#include "faiss_qbnorm/core/types.h"
#include "tests/data.h"
#include "tests/faiss/bases.h"
#include "tests/temporary_folder.h"

#define EXPECT_REFUSED(statement, text) \
    EXPECT_THROW_SAYING(statement, faiss::FaissException, text)

/// The vectors that index files and attaching are tested with, and what an
/// index over them answers.

namespace wrapped_data {

using namespace faiss_qbnorm;

using Index = std::unique_ptr<faiss::Index>;

constexpr Metric metrics[] = {Metric::inner_product, Metric::l2};

const Matrix gallery = testdata::unit(600, 16, 1);
const Matrix more = testdata::unit(50, 16, 2);
const Matrix bank = testdata::unit(90, 16, 3);
const Matrix queries = testdata::unit(40, 16, 4);

struct Answered {
    std::vector<float> distances;
    std::vector<idx_t> labels;

    bool operator==(const Answered&) const = default;
};

inline Answered answers(const faiss::Index& index, idx_t k = 10) {
    Answered result{std::vector<float>(queries.rows * k),
                    std::vector<idx_t>(queries.rows * k)};
    index.search(queries.rows, queries.data.data(), k, result.distances.data(),
                 result.labels.data());
    return result;
}

}  // namespace wrapped_data
