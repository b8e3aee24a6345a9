// Oracle: the reference table published with the manpages-de-en-small data
// (bench/data/README.md), to the printed digit, from vectors and from matrices
// of their similarities that this test multiplies itself.

#include "tests/cli/eval_scene.h"

namespace {

using namespace cli;

struct Published {
    const char* options;
    const char* method;
    Words figures;  // R@1, R@5, R@10, MdR, skewness, max
};

const std::vector<Published> published{
    {"--beta 30", "none", {"38.8", "61.5", "72.0", "3.0", "3.17", "145"}},
    {"--beta 30", "is", {"52.9", "73.2", "80.3", "1.0", "0.52", "29"}},
    {"--beta 30", "dis", {"52.8", "72.3", "79.6", "1.0", "0.69", "30"}},
    {"--beta 30", "csls", {"49.6", "72.3", "79.2", "2.0", "2.36", "68"}},
    {"--beta 30", "gc", {"49.9", "72.6", "80.6", "2.0", "0.73", "30"}},
    {"--neighbours 32 --alpha 1",
     "nnn",
     {"52.2", "73.5", "80.3", "1.0", "0.93", "34"}},
    {"", "dis", {"51.9", "72.5", "79.4", "1.0", "0.93", "31"}},
    {"", "dualis", {"51.8", "73.0", "80.0", "1.0", "0.90", "32"}},
    {"", "dualdis", {"51.2", "72.2", "79.5", "1.0", "1.05", "36"}},
};

class PublishedFigures : public testing::Test {
  protected:
    const TemporaryFolder folder;

    // One run for each set of options.
    void expect_all(const Command& eval) const {
        const std::vector<std::pair<std::string, std::string>> runs{
            {"--beta 30", "none,is,dis,csls,gc"},
            {"--neighbours 32 --alpha 1", "nnn"},
            {"", "dis,dualis,dualdis"}};
        size_t checked = 0;
        for (const auto& [options, methods] : runs) {
            const std::string output =
                done(folder, eval.with(options).with("--methods", methods));
            for (const Published& row : published) {
                if (row.options != options) continue;
                EXPECT_EQ(printed(output, row.method), row.figures)
                    << options << " " << row.method;
                checked++;
            }
        }
        EXPECT_EQ(checked, published.size());
    }

    static Matrix unit_rows(const std::string& name) {
        Matrix m = faiss_qbnorm::VectorFile(manpages(name), false).read();
        for (idx_t i = 0; i < m.rows; i++) {
            double squares = 0;
            float* row = m.data.data() + i * m.d;
            for (int j = 0; j < m.d; j++) squares += double{row[j]} * row[j];
            for (int j = 0; j < m.d; j++) {
                row[j] = static_cast<float>(row[j] / std::sqrt(squares));
            }
        }
        return m;
    }

    void write_similarities(const std::string& name, const Matrix& rows,
                            const Matrix& items) const {
        Matrix result{{}, rows.rows, static_cast<int>(items.rows)};
        for (idx_t i = 0; i < rows.rows; i++) {
            for (idx_t j = 0; j < items.rows; j++) {
                double sum = 0;
                for (int t = 0; t < rows.d; t++) {
                    sum +=
                        double{rows.view().row(i)[t]} * items.view().row(j)[t];
                }
                result.data.push_back(static_cast<float>(sum));
            }
        }
        write_npy(folder / name, result);
    }
};

TEST_F(PublishedFigures, FromVectors) {
    expect_all(Command("eval --normalize")
                   .with("--gallery", manpages("gallery.npy"))
                   .with("--queries", manpages("queries.npy"))
                   .with("--querybank", manpages("querybank.npy"))
                   .with("--gallerybank", manpages("gallerybank.npy")));
}

TEST_F(PublishedFigures, FromMatrices) {
    const Matrix gallery = unit_rows("gallery.npy");
    write_similarities("s.npy", unit_rows("queries.npy"), gallery);
    write_similarities("p.npy", unit_rows("querybank.npy"), gallery);
    write_similarities("g.npy", unit_rows("gallerybank.npy"), gallery);
    expect_all(
        "eval --similarities s.npy --querybank-similarities p.npy "
        "--gallerybank-similarities g.npy");
}

}  // namespace
