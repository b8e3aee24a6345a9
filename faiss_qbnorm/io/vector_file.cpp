#include "faiss_qbnorm/io/vector_file.h"

#include <algorithm>
#include <cstring>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/core/parallel_errors.h"
#include "faiss_qbnorm/io/half.h"

namespace faiss_qbnorm {

Matrix rows_of(const Matrix& matrix, const std::vector<idx_t>& rows) {
    Matrix result{{}, static_cast<idx_t>(rows.size()), matrix.d};
    result.data.reserve(result.rows * result.d);
    for (const idx_t row : rows) {
        const float* from = matrix.view().row(row);
        result.data.insert(result.data.end(), from, from + matrix.d);
    }
    return result;
}

VectorFile::VectorFile(const std::string& path, bool normalize,
                       idx_t block_rows)
    : array_(ArrayFile::open(path)),
      normalize_(normalize),
      block_rows_(block_rows > 0 ? block_rows : default_block_rows(array_.d)) {
    require(array_.type == ElementType::float32 ||
                array_.type == ElementType::float16,
            path, ": holds ", name_of(array_.type),
            " but vectors are float32 or float16");
    require(array_.rows > 0, path, ": holds no vectors");
}

void VectorFile::convert(idx_t begin, idx_t end, float* out) const {
    const int d = array_.d;
    ParallelErrors errors;
#pragma omp parallel for
    for (idx_t i = begin; i < end; i++) {
        errors.run([&] {
            const std::byte* row = array_.row(i);
            float* target = out + (i - begin) * d;
            if (array_.type == ElementType::float32) {
                std::memcpy(target, row, sizeof(float) * d);
                return;
            }
            for (int j = 0; j < d; j++) {
                std::uint16_t half = 0;
                std::memcpy(&half, row + sizeof half * j, sizeof half);
                target[j] = from_half(half);
            }
        });
    }
    try {
        errors.rethrow();
    } catch (const Error&) {  // of any row; the first is the one to name
        for (idx_t i = begin; i < end; i++) array_.row(i);
        throw;
    }
    // Before dividing by a norm, which would turn Inf into NaN elsewhere.
    check_finite({{out, end - begin, d}, begin}, array_.path());
    if (normalize_) normalize_rows(out, end - begin, d);
}

void VectorFile::for_each_block(idx_t begin, idx_t end,
                                const BlockVisitor& visit) const {
    std::vector<float> block(std::min(block_rows_, end - begin) * array_.d);
    for (idx_t i = begin; i < end; i += block_rows_) {
        const idx_t last = std::min(i + block_rows_, end);
        convert(i, last, block.data());
        visit({{block.data(), last - i, array_.d}, i});
    }
}

Matrix VectorFile::read() const {
    Matrix matrix{std::vector<float>(array_.rows * array_.d), array_.rows,
                  array_.d};
    convert(0, array_.rows, matrix.data.data());
    return matrix;
}

namespace {

bool is_integer(ElementType type) {
    return type == ElementType::int8 || type == ElementType::int32 ||
           type == ElementType::int64;
}

template <class Integer>
std::vector<idx_t> read_integers(const ArrayFile& array) {
    std::vector<idx_t> integers;
    integers.reserve(array.rows * array.d);
    for (idx_t i = 0; i < array.rows; i++) {
        const std::byte* row = array.row(i);
        for (int j = 0; j < array.d; j++) {
            Integer integer = 0;
            std::memcpy(&integer, row + sizeof integer * j, sizeof integer);
            integers.push_back(integer);
        }
    }
    return integers;
}

}  // namespace

std::vector<idx_t> read_labels(const ArrayFile& array) {
    switch (array.type) {
        case ElementType::int64:
            return read_integers<std::int64_t>(array);
        case ElementType::int32:
            return read_integers<std::int32_t>(array);
        case ElementType::int8:
            return read_integers<std::int8_t>(array);
        default:
            fail(array.path(), ": holds ", name_of(array.type),
                 " but labels are int64, int32 or int8");
    }
}

std::vector<bool> read_mask(const ArrayFile& array) {
    std::vector<bool> mask;
    if (array.type == ElementType::boolean) {
        for (idx_t i = 0; i < array.rows; i++) {
            const std::byte* row = array.row(i);
            for (int j = 0; j < array.d; j++) {
                mask.push_back(row[j] != std::byte{0});
            }
        }
        return mask;
    }
    require(is_integer(array.type), array.path(), ": holds ",
            name_of(array.type), " but a mask is bool, int8, int32 or int64");
    for (const idx_t number : read_labels(array)) mask.push_back(number != 0);
    return mask;
}

}  // namespace faiss_qbnorm
