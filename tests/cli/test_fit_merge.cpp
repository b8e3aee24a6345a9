// Oracle: oracle.h, the paper in double precision, for what a table says; for
// parts and threads the file of the whole fit, byte by byte.

#include "faiss_qbnorm/io/table_file.h"
#include "tests/cli/run.h"

namespace {

using namespace cli;

class FitMerge : public Scene {
  protected:
    // Fits the table and the parts between these rows, and merges the parts
    // in a shuffled order.
    void expect_parts_join(const Command& command) const {
        SCOPED_TRACE(command.line());
        done(command);
        done(command.with("--rows", "0:1").with("-o", "a.qbn"));
        done(command.with("--rows", "1:130").with("-o", "b.qbn"));
        done(command.with("--rows", "130:777").with("-o", "c.qbn"));
        done(command.with("--rows", "777:1000").with("-o", "d.qbn"));
        done("merge c.qbn a.qbn d.qbn b.qbn -o merged.qbn");
        EXPECT_GT(content("table.qbn").size(), 4000U) << "1000 offsets";
        EXPECT_TRUE(content("merged.qbn") == content("table.qbn"));
        EXPECT_FALSE(content("d.qbn") == content("table.qbn"));
    }

    void expect_table(const oracle::Reference& reference) const {
        const auto table = faiss_qbnorm::read_table(folder / "table.qbn");
        ASSERT_EQ(table.columns.size(), 1U);
        const auto& column = table.columns[0];
        ASSERT_EQ(column.offsets.size(), reference.offsets.size());
        for (idx_t i = 0; i < table.size(); i++) {
            EXPECT_NEAR(column.offsets[i], reference.offsets[i], tolerance)
                << i;
            EXPECT_EQ(column.activation.contains(i),
                      reference.activation.contains(i))
                << i;
        }
    }
};

TEST_F(FitMerge, TheTableIsThePapers) {
    done(fit);
    expect_table(reference(Metric::inner_product));
    done(fit.with("--metric l2 --beta 5 --activation-k 3"));
    expect_table(reference(Metric::l2, 5, 3));
}

TEST_F(FitMerge, PartsMergeIntoTheWholeFile) {
    expect_parts_join(fit);
    expect_parts_join(
        fit.with("--method", "is")
            .with("--metric l2 --normalize --beta 7.5 --activation-k 3"));
}

TEST_F(FitMerge, MergedPartsMergeOn) {
    done(fit);
    done(fit.with("--rows", "0:65").with("-o", "a.qbn"));
    done(fit.with("--rows", "65:66").with("-o", "b.qbn"));
    done(fit.with("--rows", "66:1000").with("-o", "c.qbn"));
    const std::string said = done("merge b.qbn a.qbn -o half.qbn");
    EXPECT_TRUE(
        said.starts_with("half.qbn: part of a table: rows 0:66 of 1000 items"))
        << said;
    done("merge c.qbn half.qbn -o merged.qbn");
    EXPECT_TRUE(content("merged.qbn") == content("table.qbn"));
}

TEST_F(FitMerge, ThreadsLeaveNoTrace) {
    for (const char* metric : {"ip", "l2"}) {
        const Command command = fit.with("--metric", metric);
        done(command.with("-o", "one.qbn").with("--threads", "1"));
        done(command.with("-o", "two.qbn").with("--threads", "2"));
        EXPECT_FALSE(content("one.qbn").empty());
        EXPECT_TRUE(content("one.qbn") == content("two.qbn")) << metric;
    }
}

TEST_F(FitMerge, FormatsOfTheSameVectorsGiveTheSameTable) {
    write_fvecs(folder / "gallery.fvecs", gallery);
    write_fvecs(folder / "bank.fvecs", bank);
    write_fbin(folder / "gallery.fbin", gallery);
    write_fbin(folder / "bank.fbin", bank);
    done(fit);
    done(
        "fit --gallery gallery.fvecs --querybank bank.fbin --method dis "
        "-o a.qbn");
    done(
        "fit --gallery gallery.fbin --querybank bank.fvecs --method dis "
        "-o b.qbn");
    EXPECT_TRUE(content("a.qbn") == content("table.qbn"));
    EXPECT_TRUE(content("b.qbn") == content("table.qbn"));
}

TEST_F(FitMerge, OneLineSaysWhatWasFitted) {
    const std::string said = done(fit);
    const size_t active = reference(Metric::inner_product).activation.size();
    const std::string begin =
        "table.qbn: table of 1000 items, d = 24, metric ip; querybank of 90, "
        "method dis, beta 20; activation set (k = 1) of " +
        std::to_string(active) + " items (";
    EXPECT_TRUE(said.starts_with(begin)) << said;
    EXPECT_EQ(said.find('\n') + 1, said.size()) << said;
}

TEST_F(FitMerge, TheReportHoldsTheSame) {
    done(fit.with("--method", "is")
             .with("--metric l2 --rows 10:300 --engine cpu --json fit.json"));
    const auto report = read_json(folder / "fit.json");
    EXPECT_EQ(report["engine"], "cpu");
    EXPECT_EQ(report["gallery_size"], 1000);
    EXPECT_EQ(report["rows"], nlohmann::json::parse("[10, 300]"));
    EXPECT_EQ(report["d"], 24);
    EXPECT_EQ(report["metric"], "l2");
    const auto& column = report["columns"].at(0);
    EXPECT_EQ(column["method"], "is");
    EXPECT_EQ(column["beta"], 20.0);
    EXPECT_EQ(column["bank_size"], 90);
    for (const char* step : {"read", "fit", "write"}) {
        EXPECT_GT(report["seconds"].at(step), 0) << step;
    }
    EXPECT_GT(report["peak_bytes"], 1 << 20);
}

}  // namespace
