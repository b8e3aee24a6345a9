// Oracle: a half converted by its definition in IEEE 754 with ldexp; norms in
// double; otherwise the values that were put into the files.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/io/npy.h"
#include "faiss_qbnorm/io/vector_file.h"
#include "tests/data.h"
#include "tests/temporary_folder.h"

namespace faiss_qbnorm {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

using Half = std::uint16_t;
constexpr Half half_one = 0x3c00;

double by_definition(Half half) {
    const int exponent = half >> 10 & 31;
    const int mantissa = half & 1023;
    const double magnitude = exponent == 0
                                 ? std::ldexp(mantissa, -24)
                                 : std::ldexp(1024 + mantissa, exponent - 25);
    return half >> 15 ? -magnitude : magnitude;
}

bool is_finite(Half half) {
    return (half >> 10 & 31) != 31;
}

template <class T>
constexpr ElementType type_of() {
    if (std::is_same_v<T, float>) return ElementType::float32;
    if (std::is_same_v<T, Half>) return ElementType::float16;
    if (std::is_same_v<T, std::int8_t>) return ElementType::int8;
    if (std::is_same_v<T, std::int32_t>) return ElementType::int32;
    return ElementType::int64;
}

class VectorFileTest : public testing::Test {
  protected:
    // Writes rows of d values each and gives the file's name.
    template <class T>
    std::string write(const std::vector<T>& values, int d) {
        OutputFile out(path_);
        write_npy_header(out, type_of<T>(), values.size() / d, d);
        out.write(std::span(values));
        out.commit();
        return path_;
    }

    // Rows of d values each, as .fvecs or .ivecs have them.
    template <class T>
    std::string write_vecs(const std::string& name,
                           const std::vector<std::vector<T>>& rows) {
        std::string bytes;
        for (const std::vector<T>& row : rows) {
            const auto d = static_cast<std::int32_t>(row.size());
            bytes.append(reinterpret_cast<const char*>(&d), sizeof d);
            bytes.append(reinterpret_cast<const char*>(row.data()),
                         row.size() * sizeof(T));
        }
        write_file(folder_ / name, bytes);
        return folder_ / name;
    }

    TemporaryFolder folder_;
    std::string path_ = folder_ / "a.npy";
};

TEST_F(VectorFileTest, ConvertsEveryFiniteHalf) {
    std::vector<Half> halves;
    for (int i = 0; i < 65536; i++) {
        const Half half = static_cast<Half>(i);
        if (is_finite(half)) halves.push_back(half);
    }
    ASSERT_EQ(halves.size(), 63488U);
    const Matrix matrix = VectorFile(write(halves, 2), false).read();
    ASSERT_EQ(matrix.data.size(), halves.size());
    for (size_t i = 0; i < halves.size(); i++) {
        const auto expected = static_cast<float>(by_definition(halves[i]));
        // As bits, because -0 == 0.
        ASSERT_EQ(std::bit_cast<std::uint32_t>(matrix.data[i]),
                  std::bit_cast<std::uint32_t>(expected))
            << "half " << halves[i];
    }
}

TEST_F(VectorFileTest, NamesTheRowOfEveryHalfThatIsNotFinite) {
    std::vector<Half> halves;
    for (int i = 0; i < 65536; i++) {
        const Half half = static_cast<Half>(i);
        if (!is_finite(half)) halves.push_back(half);
    }
    ASSERT_EQ(halves.size(), 2048U);
    const VectorFile file(write(halves, 1), false);
    for (idx_t i = 0; i < file.size(); i++) {
        EXPECT_THROW_SAYING(
            file.for_each_block(i, i + 1, [](const GalleryBlock&) {}), Error,
            path_ + ": row " + std::to_string(i) + " holds NaN or Inf");
    }
}

TEST_F(VectorFileTest, NamesTheRowOfNanAndInf) {
    for (const float bad : {nan, -nan, infinity, -infinity}) {
        for (const bool normalize : {false, true}) {
            std::vector<float> values(12, 1);
            values[7] = bad;  // the second of row 3
            values[11] = bad;
            const VectorFile file(write(values, 2), normalize, 2);
            EXPECT_THROW_SAYING(file.read(), Error,
                                path_ + ": row 3 holds NaN or Inf");
            const auto ignore = [](const GalleryBlock&) {};
            EXPECT_THROW_SAYING(file.for_each_block(1, 6, ignore), Error,
                                path_ + ": row 3 holds NaN or Inf");
            EXPECT_NO_THROW(file.for_each_block(0, 3, ignore));
            EXPECT_NO_THROW(file.for_each_block(4, 5, ignore));
        }
    }
}

TEST_F(VectorFileTest, GivesTheSameRowsInBlocksOfAnySize) {
    const Matrix matrix = testdata::gaussian(10, 3, 1);
    write(matrix.data, 3);
    for (const bool normalize : {false, true}) {
        const Matrix whole = VectorFile(path_, normalize).read();
        if (!normalize) {
            EXPECT_EQ(whole.data, matrix.data);
        }
        for (const idx_t block_rows : {0, 1, 3, 10, 99}) {
            const VectorFile file(path_, normalize, block_rows);
            EXPECT_EQ(file.size(), 10);
            EXPECT_EQ(file.d(), 3);
            EXPECT_EQ(file.name(), path_);
            std::vector<float> seen;
            idx_t next = 2;
            file.for_each_block(2, 9, [&](const GalleryBlock& block) {
                EXPECT_EQ(block.first_label, next);
                EXPECT_EQ(block.label(0), next);
                if (block_rows > 0) {
                    EXPECT_LE(block.vectors.rows, block_rows);
                }
                next += block.vectors.rows;
                seen.insert(seen.end(), block.vectors.row(0),
                            block.vectors.row(block.vectors.rows));
            });
            EXPECT_EQ(next, 9);
            EXPECT_EQ(seen, std::vector(whole.data.begin() + 2 * 3,
                                        whole.data.begin() + 9 * 3));
            file.for_each_block(4, 4, [](const GalleryBlock&) {
                ADD_FAILURE() << "a block of no rows";
            });
        }
    }
}

TEST_F(VectorFileTest, NormalizesRowsButNotZeros) {
    const std::vector<float> values{3, -4, 0, 0,      2e38F, 2e38F, 1e-44F, 0,
                                    0, 5,  1, 1e-30F, -1,    -7,    6,      8};
    const Matrix matrix = VectorFile(write(values, 2), true).read();
    for (idx_t i = 0; i < matrix.rows; i++) {
        const double x = values[2 * i];
        const double y = values[2 * i + 1];
        const double norm = i == 1 ? 1 : std::hypot(x, y);
        EXPECT_NEAR(matrix.data[2 * i], x / norm, 1e-7);
        EXPECT_NEAR(matrix.data[2 * i + 1], y / norm, 1e-7);
    }
    EXPECT_EQ(VectorFile(path_, false).read().data, values);
}

TEST_F(VectorFileTest, NormalizesHalves) {
    // (1, 1) and the smallest half twice.
    const VectorFile file(write<Half>({half_one, half_one, 1, 1}, 2), true);
    for (const float x : file.read().data) {
        EXPECT_FLOAT_EQ(x, static_cast<float>(std::sqrt(0.5)));
    }
}

TEST_F(VectorFileTest, ReadsFvecs) {
    const VectorFile file(write_vecs<float>("a.fvecs", {{1, 2}, {3, 4}}), false,
                          1);
    EXPECT_EQ(file.read().data, (std::vector<float>{1, 2, 3, 4}));
}

TEST_F(VectorFileTest, NamesTheRowOfAnotherDimension) {
    // Every later row is out of step, though the length is right. The first
    // is the one to name, whichever thread meets its own first.
    std::vector<std::vector<float>> rows(100000, {1, 2});
    rows[49990] = {1};
    rows[99999] = {1, 2, 3};
    const VectorFile file(write_vecs("a.fvecs", rows), false);
    EXPECT_THROW_SAYING(file.read(), Error,
                        "a.fvecs: row 49990 has dimension 1 but row 0 has 2");
}

TEST_F(VectorFileTest, RefusesIntegers) {
    EXPECT_THROW_SAYING(VectorFile(write<std::int32_t>({1, 2}, 1), false),
                        Error, path_ + ": holds int32");
    EXPECT_THROW_SAYING(VectorFile(write<std::int64_t>({1, 2}, 1), false),
                        Error, path_ + ": holds int64");
    EXPECT_THROW_SAYING(
        VectorFile(write_vecs<std::int32_t>("a.ivecs", {{1}}), false), Error,
        "a.ivecs: holds int32");
}

TEST_F(VectorFileTest, RefusesAFileOfNoRows) {
    EXPECT_THROW_SAYING(VectorFile(write<float>({}, 3), false), Error,
                        path_ + ": holds no vectors");
    EXPECT_THROW_SAYING(VectorFile(write<Half>({}, 3), true), Error,
                        path_ + ": holds no vectors");
}

TEST_F(VectorFileTest, ReadsLabels) {
    constexpr std::int64_t big = std::int64_t{1} << 40;
    EXPECT_EQ(read_labels(
                  ArrayFile::open(write<std::int64_t>({0, -1, big, -big}, 2))),
              (std::vector<idx_t>{0, -1, big, -big}));
    EXPECT_EQ(read_labels(
                  ArrayFile::open(write<std::int32_t>({5, -1, 2147483647}, 1))),
              (std::vector<idx_t>{5, -1, 2147483647}));
    EXPECT_EQ(
        read_labels(ArrayFile::open(write<std::int8_t>({3, -128, 127}, 1))),
        (std::vector<idx_t>{3, -128, 127}));
    EXPECT_EQ(read_labels(ArrayFile::open(
                  write_vecs<std::int32_t>("a.ivecs", {{1, -2}, {3, 4}}))),
              (std::vector<idx_t>{1, -2, 3, 4}));
}

TEST_F(VectorFileTest, RefusesLabelsThatAreNone) {
    EXPECT_THROW_SAYING(read_labels(ArrayFile::open(write<float>({1}, 1))),
                        Error, path_ + ": holds float32 but labels are");
    EXPECT_THROW_SAYING(read_labels(ArrayFile::open(write<Half>({1}, 1))),
                        Error, path_ + ": holds float16 but labels are");
    EXPECT_THROW_SAYING(read_labels(ArrayFile::open(write_vecs<std::int32_t>(
                            "a.ivecs", {{1, 2}, {3, 4}, {5}, {6, 7, 8}}))),
                        Error, "a.ivecs: row 2 has dimension 1");
}

}  // namespace
}  // namespace faiss_qbnorm
