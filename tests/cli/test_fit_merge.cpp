// Oracle: oracle.h, the paper in double precision, for what a table says; for
// parts and threads the file of the whole fit, byte by byte.

#include "faiss_qbnorm/io/table_file.h"
#include "tests/cli/run.h"

namespace {

using namespace cli;

class FitMerge : public Scene {
  protected:
    Words fit_to(const std::string& name, const Words& more) const {
        return Words{"fit",     "--gallery", gallery_file, "--querybank",
                     bank_file, "-o",        folder / name} +
               more;
    }

    // Fits rows cut at these points, and merges them in a shuffled order.
    void expect_parts_join(const Words& options) const {
        done(fit_to("whole.qbn", options));
        const Words cuts{"0", "1", "130", "777", "1000"};
        Words parts;
        for (size_t i = 0; i + 1 < cuts.size(); i++) {
            const std::string name = "part" + cuts[i] + ".qbn";
            const Words rows{"--rows", cuts[i] + ":" + cuts[i + 1]};
            done(fit_to(name, options + rows));
            parts.push_back(folder / name);
        }
        const std::string merged = folder / "merged.qbn";
        done({"merge", parts[2], parts[0], parts[3], parts[1], "-o", merged});
        const std::string whole = read_file(folder / "whole.qbn");
        EXPECT_GT(whole.size(), 4000U);
        EXPECT_TRUE(read_file(merged) == whole) << joined(options);
        EXPECT_FALSE(read_file(parts[3]) == whole) << "parts are parts";
    }
};

void expect_table(const std::string& path, const oracle::Reference& reference) {
    const auto table = faiss_qbnorm::read_table(path);
    ASSERT_EQ(table.columns.size(), 1U);
    const auto& column = table.columns[0];
    ASSERT_EQ(column.offsets.size(), reference.offsets.size());
    for (size_t i = 0; i < column.offsets.size(); i++) {
        EXPECT_NEAR(column.offsets[i], reference.offsets[i], tolerance) << i;
        const auto item = static_cast<idx_t>(i);
        EXPECT_EQ(column.activation.contains(item),
                  reference.activation.contains(item))
            << i;
    }
}

TEST_F(FitMerge, TheTableIsThePapers) {
    const std::string table = folder / "table.qbn";
    done(fit("dis", "ip", table));
    expect_table(table, reference(Metric::inner_product));
    done(fit("is", "l2", table) + Words{"--beta", "5", "--activation-k", "3"});
    expect_table(table, reference(Metric::l2, 5, 3));
}

TEST_F(FitMerge, PartsMergeIntoTheWholeFile) {
    expect_parts_join({"--method", "dis"});
    expect_parts_join({"--method", "is", "--metric", "l2", "--normalize",
                       "--beta", "7.5", "--activation-k", "3"});
}

TEST_F(FitMerge, MergedPartsMergeOn) {
    const Words options{"--method", "dis"};
    done(fit_to("whole.qbn", options));
    done(fit_to("a.qbn", options + Words{"--rows", "0:65"}));
    done(fit_to("b.qbn", options + Words{"--rows", "65:66"}));
    done(fit_to("c.qbn", options + Words{"--rows", "66:1000"}));
    const std::string half = folder / "half.qbn";
    const std::string said =
        done({"merge", folder / "b.qbn", folder / "a.qbn", "-o", half});
    EXPECT_TRUE(said.starts_with(half + ": part of a table: rows 0:66 of 1000"))
        << said;
    done({"merge", folder / "c.qbn", half, "-o", folder / "merged.qbn"});
    EXPECT_TRUE(read_file(folder / "merged.qbn") ==
                read_file(folder / "whole.qbn"));
}

TEST_F(FitMerge, ThreadsLeaveNoTrace) {
    for (const std::string metric : {"ip", "l2"}) {
        const Words command = fit("dis", metric, folder / metric);
        done(command + Words{"--threads", "1"});
        const std::string one = read_file(folder / metric);
        done(command + Words{"--threads", "2"});
        EXPECT_FALSE(one.empty());
        EXPECT_TRUE(one == read_file(folder / metric)) << metric;
    }
}

TEST_F(FitMerge, FormatsOfTheSameVectorsGiveTheSameTable) {
    write_fvecs(folder / "gallery.fvecs", gallery);
    write_fbin(folder / "gallery.fbin", gallery);
    write_fvecs(folder / "bank.fvecs", bank);
    write_fbin(folder / "bank.fbin", bank);
    done(fit("dis", "ip", folder / "npy.qbn"));
    for (const std::string format : {"fvecs", "fbin"}) {
        done({"fit", "--gallery", folder / ("gallery." + format),
              "--querybank", folder / ("bank." + format), "--method", "dis",
              "-o", folder / "other.qbn"});
        EXPECT_TRUE(read_file(folder / "other.qbn") ==
                    read_file(folder / "npy.qbn"))
            << format;
    }
}

TEST_F(FitMerge, OneLineSaysWhatWasFitted) {
    const std::string table = folder / "table.qbn";
    const std::string said = done(fit("dis", "ip", table));
    const size_t active = reference(Metric::inner_product).activation.size();
    const std::string begin =
        table +
        ": table of 1000 items, d = 24, metric ip; querybank of 90, method "
        "dis, beta 20; activation set (k = 1) of " +
        std::to_string(active) + " items (";
    EXPECT_TRUE(said.starts_with(begin)) << said;
    EXPECT_EQ(said.find('\n') + 1, said.size()) << said;
}

TEST_F(FitMerge, TheReportHoldsTheSame) {
    const std::string json = folder / "report.json";
    done(fit("is", "l2", folder / "table.qbn") +
         Words{"--json", json, "--rows", "10:300", "--engine", "cpu"});
    const auto report = read_json(json);
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
