// Oracle: numbers written into files element by element, and naive loops.

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/io/npy.h"
#include "faiss_qbnorm/similarities/matrix_similarities.h"
#include "tests/data.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

template <class T>
std::string write_npy(const std::string& path, ElementType type, idx_t rows,
                      idx_t columns, const std::vector<T>& values) {
    OutputFile out(path);
    write_npy_header(out, type, rows, columns);
    out.write(values.data(), values.size() * sizeof(T));
    out.commit();
    return path;
}

void expect_reads(const Similarities& similarities, idx_t rows, idx_t items,
                  const std::vector<float>& right, idx_t begin, idx_t end) {
    ASSERT_EQ(similarities.rows(), rows);
    ASSERT_EQ(similarities.items(), items);
    std::vector<float> out((end - begin) * rows, -1);
    similarities.read(begin, end, out.data());
    for (idx_t i = begin; i < end; i++) {
        for (idx_t r = 0; r < rows; r++) {
            ASSERT_EQ(out[(i - begin) * rows + r], right[r * items + i])
                << r << " " << i;
        }
    }
}

TEST(MatrixSimilarities, ReadEveryTypeOfNumber) {
    const TemporaryFolder folder;
    const std::string path = folder / "s.npy";
    // Half: sign, 5 bits of exponent less 15, 10 of fraction.
    write_npy<std::uint16_t>(path, ElementType::float16, 2, 3,
                             {0x3c00, 0xc100, 0x7bff, 0x0001, 0x8000, 0x3555});
    const std::vector<float> halves{1,        -2.5, 65504,
                                    0x1p-24F, 0,    0.333251953125F};
    expect_reads(MatrixSimilarities(path), 2, 3, halves, 0, 3);

    const std::vector<float> singles{0.1F, -3e38F, 0, 1e-45F, 5, -6};
    write_npy(path, ElementType::float32, 3, 2, singles);
    expect_reads(MatrixSimilarities(path), 3, 2, singles, 0, 2);

    // Rounded once: 1 + 2^-24 + 2^-40 is above the middle of two floats.
    write_npy<double>(path, ElementType::float64, 1, 4,
                      {0.1, -3e38, 1 + 0x1p-24 + 0x1p-40, 1e-300});
    expect_reads(MatrixSimilarities(path), 1, 4,
                 {0.1F, -3e38F, 1 + 0x1p-23F, 0}, 0, 4);
}

TEST(MatrixSimilarities, TransposeAnyShapeAndRange) {
    const TemporaryFolder folder;
    struct Shape {
        idx_t rows;
        int items;
    };
    for (const auto& [rows, items] :
         {Shape{1, 1}, Shape{15, 257}, Shape{16, 256}, Shape{17, 1},
          Shape{1, 700}, Shape{100, 513}}) {
        const Matrix values = testdata::gaussian(rows, items, 1);
        const std::string path = write_npy(
            folder / "s.npy", ElementType::float32, rows, items, values.data);
        const MatrixSimilarities of_file(path);
        const MatrixSimilarities of_memory(values.view(), "matrix");
        EXPECT_EQ(of_file.name(), path);
        EXPECT_EQ(of_memory.name(), "matrix");
        for (const idx_t begin : {idx_t{0}, idx_t{items / 3}}) {
            expect_reads(of_file, rows, items, values.data, begin, items);
            expect_reads(of_memory, rows, items, values.data, begin, items);
            expect_reads(of_file, rows, items, values.data, begin, begin);
        }
    }
}

TEST(MatrixSimilarities, NameTheFirstBadNumber) {
    const TemporaryFolder folder;
    const std::string path = folder / "s.npy";
    Matrix values = testdata::gaussian(40, 30, 2);
    values.data[33 * 30 + 7] = std::numeric_limits<float>::infinity();
    values.data[20 * 30 + 11] = std::numeric_limits<float>::quiet_NaN();
    values.data[20 * 30 + 19] = -std::numeric_limits<float>::infinity();
    write_npy(path, ElementType::float32, 40, 30, values.data);
    const MatrixSimilarities similarities(path);
    std::vector<float> out(40 * 30);
    EXPECT_THROW_SAYING(similarities.read(0, 30, out.data()), Error,
                        path + ": row 20, column 11 is nan");
    EXPECT_THROW_SAYING(similarities.read(12, 30, out.data()), Error,
                        path + ": row 20, column 19 is -inf");
    EXPECT_THROW_SAYING(similarities.read(0, 11, out.data()), Error,
                        path + ": row 33, column 7 is inf");
    similarities.read(0, 7, out.data());

    write_npy<double>(path, ElementType::float64, 1, 3, {1, 2, -1e39});
    EXPECT_THROW_SAYING(MatrixSimilarities(path).read(0, 3, out.data()), Error,
                        "row 0, column 2 is -1e+39");
    write_npy<std::uint16_t>(path, ElementType::float16, 2, 1,
                             {0x3c00, 0x7c00});
    EXPECT_THROW_SAYING(MatrixSimilarities(path).read(0, 1, out.data()), Error,
                        "row 1, column 0 is inf");
}

TEST(MatrixSimilarities, RejectFilesOfSomethingElse) {
    const TemporaryFolder folder;
    const std::string path = folder / "s.npy";
    write_npy<std::int32_t>(path, ElementType::int32, 1, 2, {1, 2});
    EXPECT_THROW_SAYING(MatrixSimilarities{path}, Error,
                        path + ": holds int32 but similarities are float16");
    write_npy<float>(path, ElementType::float32, 0, 2, {});
    EXPECT_THROW_SAYING(MatrixSimilarities{path}, Error,
                        path + ": holds no similarities");
    EXPECT_THROW_SAYING(MatrixSimilarities{folder / "none.npy"}, Error,
                        "No such file");
}

}  // namespace
