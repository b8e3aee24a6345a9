// Oracle: places on axes and bins worked out by hand, and what an SVG document
// must have (W3C SVG 1.1): one root, closed elements, no bare & or <.

#include "faiss_qbnorm/eval/svg_chart.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/eval/plots.h"
#include "tests/temporary_folder.h"

namespace {

using namespace faiss_qbnorm;

using Words = std::vector<std::string>;

Words labels_of(const AxisLayout& layout) {
    Words result;
    for (const Tick& tick : layout.ticks()) result.push_back(tick.label);
    return result;
}

size_t count(const std::string& text, const std::string& part) {
    size_t found = 0;
    for (size_t at = text.find(part); at != std::string::npos;
         at = text.find(part, at + 1)) {
        found++;
    }
    return found;
}

TEST(Axis, LinearTicksAreRoundNumbers) {
    const AxisLayout layout({"y", {}, {}, {}, {}}, {38.8, 52.9}, 100, 200);
    EXPECT_EQ(labels_of(layout),
              (Words{"38", "40", "42", "44", "46", "48", "50", "52", "54"}));
    EXPECT_DOUBLE_EQ(layout.pixel(38), 100);
    EXPECT_DOUBLE_EQ(layout.pixel(46), 150);
    EXPECT_DOUBLE_EQ(layout.pixel(54), 200);
    // Upwards, as y goes, and with as many decimals as the step has.
    const AxisLayout up({"y", {}, {}, 0.0, {}}, {0.52, 3.17}, 300, 100);
    EXPECT_EQ(labels_of(up),
              (Words{"0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0", "3.5"}));
    EXPECT_DOUBLE_EQ(up.pixel(0), 300);
    EXPECT_DOUBLE_EQ(up.pixel(1.75), 200);
}

TEST(Axis, OneValueHasRoomAround) {
    const AxisLayout layout({"y", {}, {}, {}, {}}, {5, 5}, 0, 100);
    EXPECT_NEAR(layout.pixel(5), 50, 1e-9);
    EXPECT_GE(layout.ticks().size(), 3U);
}

TEST(Axis, LogarithmicStepsAreEqual) {
    const AxisLayout layout({"x", Scale::log, false, {}, {}}, {1, 1000, 30}, 0,
                            400);
    EXPECT_EQ(labels_of(layout), (Words{"1", "10", "100", "1,000"}));
    EXPECT_NEAR(layout.pixel(10) - layout.pixel(1),
                layout.pixel(1000) - layout.pixel(100), 1e-9);
    EXPECT_GT(layout.pixel(1), 0);
    EXPECT_LT(layout.pixel(1000), 400);
    const AxisLayout short_one({"x", Scale::log, false, {}, {}}, {10, 100}, 0,
                               400);
    EXPECT_EQ(labels_of(short_one), (Words{"10", "20", "50", "100"}));
}

TEST(Axis, ZerosStandApartOnALogAxis) {
    const Axis axis{"x", Scale::log, true, {}, {}};
    const AxisLayout layout(axis, {0, 1, 100}, 0, 400);
    EXPECT_TRUE(layout.has_apart());
    EXPECT_TRUE(layout.is_apart(0));
    EXPECT_FALSE(layout.is_apart(1));
    EXPECT_GT(layout.pixel(0), 0);
    EXPECT_GT(layout.pixel(1), 2 * layout.pixel(0));
    EXPECT_FALSE(AxisLayout(axis, {1, 100}, 0, 400).has_apart());
}

TEST(Axis, RefusesWhatHasNoPlace) {
    const auto refused = [](const Axis& axis, double value, const char* says) {
        EXPECT_THROW_SAYING(AxisLayout(axis, {1, value}, 0, 1), Error, says);
    };
    refused({"beta", {}, {}, {}, {}}, NAN, "'beta' has no place for NaN");
    refused({"beta", {}, {}, {}, {}}, INFINITY, "NaN or Inf");
    refused({"beta", Scale::log, {}, {}, {}}, 0, "no place for 0");
    refused({"beta", Scale::log, true, {}, {}}, -1, "no place for -1");
    refused({"beta", Scale::log, true, -2, {}}, 1, "cannot begin at -2");
}

TEST(Ticks, ReadAsPeopleWriteThem) {
    EXPECT_EQ(tick_label(0), "0");
    EXPECT_EQ(tick_label(0.05), "0.05");
    EXPECT_EQ(tick_label(-2500), "-2,500");
    EXPECT_EQ(tick_label(100000), "100,000");
    EXPECT_EQ(tick_label(1e6), "10⁶");
    EXPECT_EQ(tick_label(2e12), "2·10¹²");
    EXPECT_EQ(tick_label(1e-5), "10⁻⁵");
}

Chart small_chart() {
    Chart chart;
    chart.title = "R@1 < 100 & \"more\"";
    chart.x = {"bank", Scale::log, false, {}, {}};
    chart.y = {"R@1 (%)", Scale::linear, false, {}, {}};
    chart.series = {{"is", {{10, 40}, {100, 50}, {1000, 52}}},
                    {"chosen", {{100, 50}}, false, true}};
    return chart;
}

TEST(SvgChart, IsADocumentOfItsOwn) {
    const std::string svg = svg_of(small_chart());
    EXPECT_TRUE(
        svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" "
                        "viewBox=\"0 0 640 400\""));
    EXPECT_TRUE(svg.ends_with("</svg>\n"));
    EXPECT_NE(svg.find("R@1 &lt; 100 &amp; &quot;more&quot;"),
              std::string::npos);
    EXPECT_EQ(count(svg, "<g>") + count(svg, "<text"),
              count(svg, "</g>") + count(svg, "</text>"));
    for (const char* alien : {"href", "url(", "script", "style", "@import"}) {
        EXPECT_EQ(svg.find(alien), std::string::npos) << alien;
    }
    // A line and three markers, a marker alone, and both in the legend.
    EXPECT_EQ(count(svg, "<path"), 2U);
    EXPECT_EQ(count(svg, "<circle"), 4U);
    EXPECT_EQ(count(svg, "<polygon"), 2U);
    EXPECT_EQ(count(svg, ">is</text>"), 1U);
    EXPECT_EQ(count(svg, ">chosen</text>"), 1U);
}

// The axis reaches 30 to 70; a bar is a stroke with two caps.
TEST(SvgChart, SpreadsAreBarsWithinTheAxis) {
    Chart chart = small_chart();
    chart.series = {{"is", {{10, 50, 20}, {100, 50}}}};
    const std::string svg = svg_of(chart);
    EXPECT_EQ(count(svg, "<path"), 3U);  // the line, its key, one bar
    EXPECT_EQ(count(svg, ">30</text>"), 1U);
    EXPECT_EQ(count(svg, ">70</text>"), 1U);
}

TEST(SvgChart, SeriesDifferInColourAndMarker) {
    Chart chart = small_chart();
    chart.series.clear();
    for (const char name : std::string("abcdefghij")) {
        chart.series.push_back({std::string(1, name), {{1, 1}, {2, 2}}});
    }
    const std::string svg = svg_of(chart);
    std::set<std::string> looks;
    for (size_t at = svg.find("<path"); at != std::string::npos;
         at = svg.find("<path", at + 1)) {
        const size_t stroke = svg.find("stroke=", at);
        looks.insert(svg.substr(stroke, svg.find("/>", at) - stroke));
    }
    EXPECT_EQ(looks.size(), 10U);
}

TEST(SvgChart, RefusesNothingToDraw) {
    Chart chart = small_chart();
    chart.series[0].points.clear();
    chart.series.pop_back();
    EXPECT_THROW_SAYING(svg_of(chart), Error, "no points to draw");
    chart = small_chart();
    chart.height = 20;
    EXPECT_THROW_SAYING(svg_of(chart), Error, "too small");
}

TEST(SvgChart, IsWrittenWholeOrNotAtAll) {
    const TemporaryFolder folder;
    write_svg(small_chart(), folder / "chart.svg");
    EXPECT_EQ(read_file(folder / "chart.svg"), svg_of(small_chart()));
    Chart wrong = small_chart();
    wrong.series[0].points[0].y = NAN;
    EXPECT_THROW_SAYING(write_svg(wrong, folder / "other.svg"), Error, "NaN");
    EXPECT_EQ(folder.count(), 1);
}

TEST(OccurrencePlot, CountsItemsInBinsThatDouble) {
    const std::vector<idx_t> before{0, 0, 0, 1, 2, 3, 4, 7, 8, 145};
    const std::vector<idx_t> after{1, 1, 2, 2};
    const Chart chart =
        k_occurrence_plot({{"none", before}, {"is", after}}, 10);
    ASSERT_EQ(chart.series.size(), 2U);
    const auto& points = chart.series[0].points;
    // 0, 1, 2-3, 4-7, 8-15, 128-255.
    const std::vector<std::pair<double, double>> expected{
        {0, 3},
        {1, 1},
        {std::sqrt(2.0 * 3), 2},
        {std::sqrt(4.0 * 7), 2},
        {std::sqrt(8.0 * 15), 1},
        {std::sqrt(128.0 * 255), 1}};
    ASSERT_EQ(points.size(), expected.size());
    for (size_t i = 0; i < points.size(); i++) {
        EXPECT_DOUBLE_EQ(points[i].x, expected[i].first) << i;
        EXPECT_DOUBLE_EQ(points[i].y, expected[i].second) << i;
    }
    EXPECT_EQ(chart.series[1].points.size(), 2U) << "every item came up";
    // Two of 1 and two of 2: even, skewness 0.
    EXPECT_EQ(chart.series[1].name, "is (skewness 0.00)");
    EXPECT_FALSE(svg_of(chart).empty());
}

}  // namespace
