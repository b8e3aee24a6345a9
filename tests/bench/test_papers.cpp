// Oracle: the reference figures published with the data (bench/data/README.md
// and, for CSLS and GC, the same float64 program), to the printed digit.

#include <gtest/gtest.h>

#include <regex>

#include "tests/cli/run.h"

namespace {

using cli::Outcome;

struct Published {
    const char* section;
    const char* row;  ///< a regular expression; gm is not published
};

// From the section's title to the next.
std::string section_of(const std::string& report, const std::string& title) {
    const size_t begin = report.find("### " + title);
    EXPECT_NE(begin, std::string::npos) << title;
    if (begin == std::string::npos) return {};
    return report.substr(begin, report.find("\n### ", begin) - begin);
}

long count(const std::string& text, const std::string& pattern) {
    const std::regex expression(pattern);
    return std::distance(
        std::sregex_iterator(text.begin(), text.end(), expression), {});
}

TEST(Papers, GiveThePublishedFigures) {
    const TemporaryFolder folder;
    const std::string data = testdata::real("manpages-de-en-small");
    const Outcome outcome =
        cli::run(folder, "--data " + data + " -o report.md");
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const std::string report = read_file(folder / "report.md");
    for (
        const Published& one : {
            Published{"Table 1", R"(\| none \|  \| raw \| 38.8 \| 61.5 \|)"},
            {"Table 3",
             R"(\| raw \| 38.8 \| 61.5 \| 72.0 \| 3 \| \S+ \| 3.17 \| 145 \|)"},
            {"Table 3",
             R"(\| CSLS \| 49.6 \| 72.3 \| 79.2 \| 2 \| \S+ \| 2.36 \| 68 \|)"},
            {"Table 3",
             R"(\| GC \| 49.9 \| 72.6 \| 80.6 \| 2 \| \S+ \| 0.73 \| 30 \|)"},
            {"Fig. 3",
             R"(\| 30 \| IS \| 52.9 \| 73.2 \| 80.3 \| 1 \| \S+ \| 0.52 \|)"},
            {"Fig. 3",
             R"(\| 30 \| DIS \| 52.8 \| 72.3 \| 79.6 \| 1 \| \S+ \| 0.69 \|)"},
            {"Fig. 3",
             R"(\| 20 \| DIS \| 51.9 \| 72.5 \| 79.4 \| 1 \| \S+ \| 0.93 \|)"},
        }) {
        const std::string section = section_of(report, one.section);
        EXPECT_EQ(count(section, one.row), 1) << one.row << "\n" << section;
    }

    // Every finding is in the summary, too, with the same verdict.
    const std::string summary = section_of(report, "Against the papers");
    const long agreeing = count(report, R"(: \*\*agrees\*\*\.)");
    const long others = count(report, R"(: \*\*does not agree\*\*\.)");
    EXPECT_GT(agreeing, 0);
    EXPECT_EQ(count(summary, R"(\| yes \|)"), agreeing);
    EXPECT_EQ(count(summary, R"(\| \*\*no\*\* \|)"), others);
    EXPECT_NE(summary.find(std::to_string(agreeing) + " of " +
                           std::to_string(agreeing + others) + " findings"),
              std::string::npos);

    // Charts are where the report says, and nothing names this machine's paths.
    EXPECT_EQ(count(report, R"(\]\(report/\S+\.svg\))"), 5);
    for (const char* chart : {"fig3-size", "fig3-beta", "fig4-recall",
                              "fig4-skewness", "fig5-occurrence"}) {
        const std::string file =
            std::string("report/manpages-de-en-small-") + chart + ".svg";
        EXPECT_NE(report.find("(" + file + ")"), std::string::npos) << file;
        EXPECT_TRUE(read_file(folder / file).starts_with("<svg ")) << file;
    }
    EXPECT_EQ(report.find(QBNORM_SOURCE_DIR), std::string::npos);
    EXPECT_EQ(report.find(folder / ""), std::string::npos);
}

TEST(Papers, RefuseAFolderWithoutData) {
    const TemporaryFolder folder;
    const Outcome outcome = cli::run(folder, "--data . -o report.md");
    EXPECT_EQ(outcome.code, 1);
    EXPECT_NE(outcome.err.find("no folder in it has gallery.npy"),
              std::string::npos)
        << outcome.err;
    EXPECT_EQ(folder.count(), 0);
}

}  // namespace
