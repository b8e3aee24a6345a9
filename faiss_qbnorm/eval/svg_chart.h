#pragma once

#include <string>
#include <vector>

#include "faiss_qbnorm/eval/svg_axis.h"

namespace faiss_qbnorm {

struct ChartPoint {
    double x = 0;
    double y = 0;
    /// A bar from y - spread to y + spread; none where it is 0.
    double spread = 0;
};

struct ChartSeries {
    std::string name;  ///< as the legend has it; empty: not in the legend
    std::vector<ChartPoint> points;  ///< joined in this order
    bool has_line = true;
    bool has_markers = true;
};

/// A line chart, which stands in a paper as it is: colours that the
/// colour-blind tell apart on white, and another marker for each series.
struct Chart {
    std::string title;
    Axis x;
    Axis y;
    std::vector<ChartSeries> series;
    int width = 640;
    int height = 400;
};

/// The chart as an SVG document of its own: no fonts, styles or scripts from
/// elsewhere. Throws where there is nothing to draw, or a point has no place on
/// its axes.
std::string svg_of(const Chart& chart);

/// The same into a file, whole or not at all.
void write_svg(const Chart& chart, const std::string& path);

}  // namespace faiss_qbnorm
