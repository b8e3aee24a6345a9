// Oracle: bytes put together by hand from the descriptions of the formats
// (NumPy's numpy.lib.format; TEXMEX's .fvecs; big-ann-benchmarks' .fbin).

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/io/array_file.h"
#include "faiss_qbnorm/io/npy.h"
#include "tests/temporary_folder.h"

namespace faiss_qbnorm {
namespace {

// The lowest `count` bytes of a number, the lowest first.
std::string little(std::uint64_t number, int count) {
    std::string bytes;
    for (int i = 0; i < count; i++) {
        bytes += static_cast<char>(number >> (8 * i) & 0xff);
    }
    return bytes;
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
    return {reinterpret_cast<const char*>(values.data()),
            values.size() * sizeof(T)};
}

std::string npy(const std::string& header, const std::string& data,
                int version = 1) {
    return "\x93NUMPY" + little(version, 2) +
           little(header.size(), version == 1 ? 2 : 4) + header + data;
}

std::string header(const std::string& descr, const std::string& shape) {
    return "{'descr': '" + descr +
           "', 'fortran_order': False, 'shape': " + shape + ", }\n";
}

template <class T>
std::vector<T> values_of(const ArrayFile& array) {
    std::vector<T> values(array.rows * array.d);
    for (idx_t i = 0; i < array.rows; i++) {
        std::memcpy(values.data() + i * array.d, array.row(i),
                    sizeof(T) * array.d);
    }
    return values;
}

// Touches every byte of an array, for the sanitizers.
void read_all(const ArrayFile& array) {
    const size_t size = size_of(array.type) * array.d;
    std::vector<std::byte> row(size);
    for (idx_t i = 0; i < array.rows; i++) {
        std::memcpy(row.data(), array.row(i), size);
    }
}

class ArrayFileTest : public testing::Test {
  protected:
    ArrayFile open(const std::string& name, const std::string& content) {
        write_file(folder_ / name, content);
        return ArrayFile::open(folder_ / name);
    }

    template <class T>
    void expect_reads(const std::string& name, const std::string& content,
                      ElementType type, idx_t rows, int d,
                      const std::vector<T>& values) {
        const ArrayFile array = open(name, content);
        EXPECT_EQ(array.type, type);
        EXPECT_EQ(array.rows, rows);
        EXPECT_EQ(array.d, d);
        EXPECT_EQ(array.path(), folder_ / name);
        EXPECT_EQ(values_of<T>(array), values);
    }

    // Expects an Error that begins with the file's name and says `why`.
    void expect_rejected(const std::string& name, const std::string& content,
                         const std::string& why) {
        SCOPED_TRACE(why);
        write_file(folder_ / name, content);
        expect_unreadable(folder_ / name, why);
    }

    static void expect_unreadable(const std::string& path,
                                  const std::string& why) {
        try {
            read_all(ArrayFile::open(path));
            ADD_FAILURE() << "nothing was thrown";
        } catch (const Error& problem) {
            const std::string message = problem.what();
            EXPECT_EQ(message.find(path + ": "), 0U) << message;
            EXPECT_NE(message.find(why), std::string::npos) << message;
        }
    }

    TemporaryFolder folder_;
};

TEST_F(ArrayFileTest, ReadsEveryTypeOfNpy) {
    const std::vector<float> f4{1.5F, -2, 0, 3e38F, 1e-45F, -0.25F};
    expect_reads("a.npy", npy(header("<f4", "(2, 3)"), bytes_of(f4)),
                 ElementType::float32, 2, 3, f4);
    const std::vector<std::uint16_t> f2{0x3c00, 0x8000, 0x7bff, 1, 2, 3};
    expect_reads("a.npy", npy(header("<f2", "(3, 2)"), bytes_of(f2)),
                 ElementType::float16, 3, 2, f2);
    const std::vector<double> f8{1.5, -1e300, 0x1p-1074, 0.1};
    expect_reads("a.npy", npy(header("<f8", "(2, 2)"), bytes_of(f8)),
                 ElementType::float64, 2, 2, f8);
    const std::vector<std::int32_t> i4{-1, 2147483647, 3, 4, 5, 6};
    expect_reads("a.npy", npy(header("<i4", "(1, 6)"), bytes_of(i4)),
                 ElementType::int32, 1, 6, i4);
    const std::vector<std::int64_t> i8{-1, std::int64_t{1} << 62};
    expect_reads("a.npy", npy(header("<i8", "(2, 1)"), bytes_of(i8)),
                 ElementType::int64, 2, 1, i8);
}

TEST_F(ArrayFileTest, ReadsOneDimension) {
    const std::vector<std::int64_t> values{7, 8, 9};
    for (const char* shape : {"(3,)", "(3, )", "(3)"}) {
        expect_reads("a.npy", npy(header("<i8", shape), bytes_of(values)),
                     ElementType::int64, 3, 1, values);
    }
}

TEST_F(ArrayFileTest, ReadsNpyFormats1To3) {
    const std::vector<float> values{1, 2, 3, 4};
    for (int version = 1; version <= 3; version++) {
        expect_reads("a.npy",
                     npy(header("<f4", "(2, 2)"), bytes_of(values), version),
                     ElementType::float32, 2, 2, values);
    }
    // Longer than format 1.0 can say.
    const std::string padded =
        header("<f4", "(2, 2)") + std::string(70000, ' ');
    expect_reads("a.npy", npy(padded, bytes_of(values), 2),
                 ElementType::float32, 2, 2, values);
}

TEST_F(ArrayFileTest, ReadsHeadersAsPythonWould) {
    const std::vector<float> values{1, 2, 3, 4, 5, 6};
    for (const char* text : {
             "{'shape':(2,3),'fortran_order':False,'descr':'<f4'}",
             "{'shape': (2, 3), 'fortran_order': False, 'descr': '<f4' }\n",
             "{ 'descr' : '<f4' , 'shape' : ( 2 , 3 ) ,"
             "  'fortran_order' :  False }   \n",
             "{'fortran_order':False,\t'shape':\t(2,3,),\t'descr':\t'<f4'}",
         }) {
        SCOPED_TRACE(text);
        expect_reads("a.npy", npy(text, bytes_of(values)), ElementType::float32,
                     2, 3, values);
    }
}

TEST_F(ArrayFileTest, ReadsVecs) {
    const std::vector<float> floats{1, 2, 3, 4};
    const std::string f = bytes_of(floats);
    expect_reads("a.fvecs",
                 little(2, 4) + f.substr(0, 8) + little(2, 4) + f.substr(8),
                 ElementType::float32, 2, 2, floats);
    const std::vector<std::int32_t> ints{-5, 6, 7};
    const std::string i = bytes_of(ints);
    expect_reads("a.ivecs",
                 little(1, 4) + i.substr(0, 4) + little(1, 4) + i.substr(4, 4) +
                     little(1, 4) + i.substr(8),
                 ElementType::int32, 3, 1, ints);
}

TEST_F(ArrayFileTest, ReadsBin) {
    const std::vector<float> floats{1, 2, 3, 4, 5, 6};
    expect_reads("a.fbin", little(2, 4) + little(3, 4) + bytes_of(floats),
                 ElementType::float32, 2, 3, floats);
    const std::vector<std::int32_t> ints{-5, 6, 7};
    expect_reads("a.ibin", little(3, 4) + little(1, 4) + bytes_of(ints),
                 ElementType::int32, 3, 1, ints);
}

TEST_F(ArrayFileTest, MayHoldNoRows) {
    EXPECT_EQ(open("a.npy", npy(header("<f4", "(0, 3)"), "")).rows, 0);
    EXPECT_EQ(open("a.fbin", little(0, 4) + little(3, 4)).rows, 0);
}

TEST_F(ArrayFileTest, WritesTheHeaderThatNumpyWrites) {
    const std::string path = folder_ / "a.npy";
    OutputFile out(path);
    write_npy_header(out, ElementType::float16, 12, 3);
    out.commit();
    std::string text =
        "{'descr': '<f2', 'fortran_order': False, 'shape': (12, 3), }";
    text.resize(117, ' ');
    EXPECT_EQ(read_file(path), npy(text + '\n', ""));

    OutputFile wide(path);
    write_npy_header(wide, ElementType::float64, 12, 3);
    wide.commit();
    EXPECT_EQ(read_file(path), npy(text.replace(12, 2, "f8") + '\n', ""));
}

TEST_F(ArrayFileTest, RejectsWhatIsNoFile) {
    expect_unreadable(folder_ / "none.npy", "No such file");
    const std::string path = folder_ / "folder.npy";
    std::filesystem::create_directory(path);
    expect_unreadable(path, "not a regular file");
}

TEST_F(ArrayFileTest, RejectsUnknownExtensions) {
    expect_rejected("a.txt", "x", "unknown extension '.txt'");
    expect_rejected("a", "x", "unknown extension ''");
    expect_rejected("a.NPY", "x", "unknown extension '.NPY'");
}

TEST_F(ArrayFileTest, RejectsEmptyAndShortFiles) {
    expect_rejected("a.npy", "", "does not begin as a .npy file");
    expect_rejected("a.npy", "\x93NUMPZ", "does not begin as a .npy file");
    expect_rejected("a.npy", "PK\3\4 a .npz is a zip file",
                    "does not begin as a .npy file");
    expect_rejected("a.fvecs", "", "too short");
    expect_rejected("a.ivecs", little(1, 3), "too short");
    expect_rejected("a.fbin", "", "too short");
    expect_rejected("a.ibin", little(0, 7), "too short");
}

TEST_F(ArrayFileTest, RejectsNpyThatCannotBeRead) {
    struct Case {
        std::string content;
        const char* why;
    };
    const std::string data(24, '\0');
    const std::string good = header("<f4", "(2, 3)");
    const auto with = [&](const char* descr, const char* shape) {
        return npy(header(descr, shape), data);
    };
    for (const Case& rejected : std::vector<Case>{
             {npy(good, data, 4), "format 4 is unknown"},
             {npy(good, data, 0), "format 0 is unknown"},
             {npy(good, data).replace(8, 2, little(999, 2)),
              "truncated in its header"},
             {npy(good, data, 2).replace(8, 4, little(0xffffffff, 4)),
              "truncated in its header"},
             {npy(good, data, 2).replace(11, 1, "\1"),
              "truncated in its header"},
             {npy(good, data.substr(1)), "truncated"},
             {npy(good, ""), "truncated"},
             {npy(good, data + '\0'), "25 bytes follow"},
             {npy("{'descr': '<f4', 'fortran_order': True, "
                  "'shape': (2, 3), }\n",
                  data),
              "Fortran order"},
             {npy("{'descr': '<f4', 'shape': (2, 3), }\n", data),
              "header has no fortran_order"},
             {npy("{'fortran_order': False, 'shape': (2, 3), }\n", data),
              "its elements are"},
             {npy("{'descr': '<f4', 'fortran_order': False, }\n", data),
              "no shape"},
             {npy("", data), "header has no fortran_order"},
             {with(">f4", "(2, 3)"), "elements are '>f4'"},
             {with(">f8", "(3,)"), "elements are '>f8'"},
             {with("<c8", "(3,)"), "elements are '<c8'"},
             {with("|O", "(3,)"), "elements are '|O'"},
             {with("|u1", "(24,)"), "elements are '|u1'"},
             {npy("{'descr': [('a', '<f4')], 'fortran_order': False, "
                  "'shape': (6,), }\n",
                  data),
              "elements are [('a'"},
             {with("<f4", "(1, 2, 3)"), "has 3 dimensions"},
             {with("<f4", "()"), "has 0 dimensions"},
             {with("<f4", "6"), "no shape"},
             {with("<f4", "(-2, -3)"), "bad shape"},
             {with("<f4", "(2, -3)"), "bad shape"},
             {with("<f4", "(x, 3)"), "bad shape"},
             {with("<f4", "(99999999999999999999, 3)"), "bad shape"},
             {with("<f4", "(2, 0)"), "rows have 0 elements"},
             {with("<f4", "(0, 0)"), "rows have 0 elements"},
             {with("<f4", "(1, 9223372036854775807)"), "no usable dimension"},
             {with("<f4", "(1, 4294967297)"), "no usable dimension"},
             {with("<f4", "(9223372036854775807, 3)"), "truncated"},
             // 2^62 x 1 float32 are 2^64 bytes; 2^62 + 6 of them wrap to 24.
             {with("<f4", "(4611686018427387904,)"), "truncated"},
             {with("<f4", "(4611686018427387910,)"), "truncated"},
         }) {
        expect_rejected("a.npy", rejected.content, rejected.why);
    }
}

TEST_F(ArrayFileTest, RejectsVecsThatCannotBeRead) {
    const std::string row = little(2, 4) + little(0, 8);
    expect_rejected("a.fvecs", row + row + "x", "not whole rows of d = 2");
    expect_rejected("a.fvecs", little(0, 4), "dimension 0,");
    expect_rejected("a.ivecs", little(-1, 4) + row, "dimension -1,");
    expect_rejected("a.fvecs", little(0x7fffffff, 4) + row, "2147483647,");
    expect_rejected("a.fvecs", row + little(1, 4) + little(0, 8) + row,
                    "row 1 has dimension 1 but row 0 has 2");
    expect_rejected("a.fvecs", row + little(3, 4) + little(0, 8) + row,
                    "row 1 has dimension 3 but row 0 has 2");
    expect_rejected("a.ivecs", row + row + little(-1, 4) + little(0, 8),
                    "row 2 has dimension -1 but row 0 has 2");
}

TEST_F(ArrayFileTest, RejectsBinThatCannotBeRead) {
    const auto bin = [](std::uint64_t rows, std::uint64_t d) {
        return little(rows, 4) + little(d, 4) + little(0, 8);
    };
    expect_rejected("a.fbin", bin(1, 3), "it has 16 bytes instead of 20");
    expect_rejected("a.ibin", bin(1, 1), "it has 16 bytes instead of 12");
    expect_rejected("a.fbin", bin(2, 0), "dimension 0,");
    expect_rejected("a.fbin", bin(0, 0), "dimension 0,");
    expect_rejected("a.fbin", bin(1, 0xffffffff), "dimension 4294967295,");
    // 2^20 is the largest dimension; the product must not wrap.
    expect_rejected("a.ibin", bin(0xffffffff, 1 << 20), "truncated");
}

// Three rows of two of every format, with their whole header's length.
struct Sample {
    const char* name;
    std::string content;
    size_t header_size;
};

std::vector<Sample> samples() {
    const std::string data(24, '\1');
    const std::string text = header("<f4", "(3, 2)");
    const std::string row = little(2, 4) + data.substr(0, 8);
    const std::string counts = little(3, 4) + little(2, 4);
    return {{"a.npy", npy(text, data, 1), 10 + text.size()},
            {"b.npy", npy(text, data, 2), 12 + text.size()},
            {"a.fvecs", row + row + row, 36},
            {"a.ivecs", row + row + row, 36},
            {"a.fbin", counts + data, 8},
            {"a.ibin", counts + data, 8}};
}

TEST_F(ArrayFileTest, RejectsEveryTruncation) {
    for (const Sample& sample : samples()) {
        read_all(open(sample.name, sample.content));
        const bool vecs = sample.header_size == 36;
        for (size_t size = 0; size < sample.content.size(); size++) {
            SCOPED_TRACE(sample.name + std::string(" of ") +
                         std::to_string(size));
            const std::string cut = sample.content.substr(0, size);
            if (vecs && size > 0 && size % 12 == 0) {  // whole rows
                EXPECT_EQ(open(sample.name, cut).rows, size / 12);
            } else {
                EXPECT_THROW(open(sample.name, cut), Error);
            }
        }
    }
}

TEST_F(ArrayFileTest, SurvivesEveryChangeOfItsHeader) {
    int rejected = 0;
    int read = 0;
    for (const Sample& sample : samples()) {
        for (size_t i = 0; i < sample.header_size; i++) {
            const char old = sample.content[i];
            const std::string others("\0\1\3\x7f\x80\xff(),' -9", 13);
            for (const char to : others + char(old ^ 1) + char(old ^ 16)) {
                std::string changed = sample.content;
                changed[i] = to;
                try {
                    const ArrayFile array = open(sample.name, changed);
                    read_all(array);
                    read++;
                    const size_t end = array.rows * array.stride +
                                       (array.counted_rows ? 0 : array.first);
                    EXPECT_EQ(end, changed.size()) << sample.name << " " << i;
                } catch (const Error&) {
                    rejected++;
                }
            }
        }
    }
    EXPECT_GT(rejected, 1000);
    EXPECT_GT(read, 50);  // spaces, the minor version
}

}  // namespace
}  // namespace faiss_qbnorm
