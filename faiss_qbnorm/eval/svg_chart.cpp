#include "faiss_qbnorm/eval/svg_chart.h"

#include <algorithm>
#include <iterator>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/eval/svg_writer.h"
#include "faiss_qbnorm/io/output_file.h"

namespace faiss_qbnorm {

namespace {

constexpr const char* grid_colour = "#e4e4e4";
constexpr const char* axis_colour = "#444";
constexpr double legend_line = 19;
constexpr double legend_key = 28;  // line and marker before a name
constexpr double legend_gap = 8;
constexpr double to_baseline = 4.2;  // from the middle of a tick's text

std::vector<double> all_x(const Chart& chart) {
    std::vector<double> values;
    for (const ChartSeries& series : chart.series) {
        for (const ChartPoint& point : series.points) values.push_back(point.x);
    }
    return values;
}

// With what their spreads reach to.
std::vector<double> all_y(const Chart& chart) {
    std::vector<double> values;
    for (const ChartSeries& series : chart.series) {
        for (const ChartPoint& point : series.points) {
            values.push_back(point.y - point.spread);
            values.push_back(point.y + point.spread);
        }
    }
    return values;
}

class Drawing {
  public:
    explicit Drawing(const Chart& chart)
        : chart_(chart),
          plot_(plot_of(chart)),
          x_(layout_x()),
          y_(chart.y, all_y(chart), plot_.bottom, plot_.top),
          legend_(legend_box()),
          svg_(chart.width, chart.height) {}

    std::string draw() {
        draw_grid();
        draw_axes();
        for (size_t i = 0; i < chart_.series.size(); i++) draw_series(i);
        draw_legend();
        draw_words();
        return svg_.finish();
    }

  private:
    // Margins fit what is written in them.
    static Box plot_of(const Chart& chart) {
        const AxisLayout y(chart.y, all_y(chart), 1, 0);
        double widest = 0;
        for (const Tick& tick : y.ticks()) {
            widest = std::max(widest, text_width(tick.label, tick_font));
        }
        return {18 + widest + (chart.y.label.empty() ? 0 : 24),
                chart.title.empty() ? 16.0 : 44.0, chart.width - 20.0,
                chart.height - (chart.x.label.empty() ? 32.0 : 54.0)};
    }

    AxisLayout layout_x() const {
        return {chart_.x, all_x(chart_), plot_.left, plot_.right};
    }

    // ---- axes ----

    void draw_grid() {
        for (const Tick& tick : x_.ticks()) {
            const double x = x_.pixel(tick.value);
            svg_.line({x, plot_.top}, {x, plot_.bottom}, grid_colour, 0.8);
            draw_tick_x(x, tick.label);
        }
        for (const Tick& tick : y_.ticks()) {
            const double y = y_.pixel(tick.value);
            svg_.line({plot_.left, y}, {plot_.right, y}, grid_colour, 0.8);
            draw_tick_y(y, tick.label);
        }
    }

    void draw_tick_x(double x, const std::string& label) {
        svg_.line({x, plot_.bottom}, {x, plot_.bottom + 4}, axis_colour, 1);
        svg_.text({x, plot_.bottom + 18}, tick_font, "middle", label);
    }

    void draw_tick_y(double y, const std::string& label) {
        svg_.line({plot_.left - 4, y}, {plot_.left, y}, axis_colour, 1);
        svg_.text({plot_.left - 8, y + to_baseline}, tick_font, "end", label);
    }

    void draw_axes() {
        const Pixel origin{plot_.left, plot_.bottom};
        svg_.line({plot_.left, plot_.top}, origin, axis_colour, 1);
        svg_.line(origin, {plot_.right, plot_.bottom}, axis_colour, 1);
        if (x_.has_apart()) {
            const double x = x_.pixel(0);
            draw_tick_x(x, "0");
            draw_break({2 * x - plot_.left, plot_.bottom}, {2.5, 0}, {3, 6});
        }
        if (y_.has_apart()) {
            const double y = y_.pixel(0);
            draw_tick_y(y, "0");
            draw_break({plot_.left, 2 * y - plot_.bottom}, {0, 2.5}, {6, 3});
        }
    }

    // Two strokes across an axis: what follows is on another scale.
    void draw_break(Pixel at, Pixel apart, Pixel reach) {
        for (const double side : {-1.0, 1.0}) {
            const Pixel middle{at.x + side * apart.x, at.y + side * apart.y};
            svg_.line({middle.x - reach.x, middle.y + reach.y},
                      {middle.x + reach.x, middle.y - reach.y}, axis_colour, 1);
        }
    }

    void draw_words() {
        const double middle = (plot_.left + plot_.right) / 2;
        if (!chart_.title.empty()) {
            svg_.text({middle, 27}, title_font, "middle", chart_.title,
                      " font-weight=\"bold\"");
        }
        if (!chart_.x.label.empty()) {
            svg_.text({middle, chart_.height - 14.0}, label_font, "middle",
                      chart_.x.label);
        }
        if (!chart_.y.label.empty()) {
            const auto y = static_cast<int>((plot_.top + plot_.bottom) / 2);
            svg_.text(
                {20, static_cast<double>(y)}, label_font, "middle",
                chart_.y.label,
                " transform=\"rotate(-90 20 " + std::to_string(y) + ")\"");
        }
    }

    // ---- series ----

    Pixel pixel(const ChartPoint& point) const {
        return {x_.pixel(point.x), y_.pixel(point.y)};
    }

    // A zero that is drawn apart is joined to nothing.
    bool is_joined(const ChartPoint& a, const ChartPoint& b) const {
        return x_.is_apart(a.x) == x_.is_apart(b.x) &&
               y_.is_apart(a.y) == y_.is_apart(b.y);
    }

    void draw_series(size_t i) {
        const ChartSeries& series = chart_.series[i];
        const auto& points = series.points;
        if (series.has_line) {
            std::string path;
            for (size_t p = 0; p < points.size(); p++) {
                const bool joined =
                    p > 0 && is_joined(points[p - 1], points[p]);
                path += joined ? line_to(pixel(points[p]))
                               : move_to(pixel(points[p]));
            }
            svg_.series_line(i, path);
        }
        for (const ChartPoint& point : points) {
            if (point.spread != 0) draw_spread(i, point);
        }
        if (!series.has_markers) return;
        for (const ChartPoint& point : points) {
            svg_.series_marker(i, pixel(point));
        }
    }

    void draw_spread(size_t series, const ChartPoint& point) {
        constexpr double cap = 4;
        const double x = x_.pixel(point.x);
        const double low = y_.pixel(point.y - point.spread);
        const double high = y_.pixel(point.y + point.spread);
        std::string path = move_to({x, low}) + line_to({x, high});
        for (const double y : {low, high}) {
            path += move_to({x - cap, y}) + line_to({x + cap, y});
        }
        svg_.series_line(series, path);
    }

    // ---- the legend ----

    // In the corner that is free; where none is, beside the plot, which makes
    // room. No box where no series has a name.
    Box legend_box() {
        double name = 0;
        int named = 0;
        for (const ChartSeries& series : chart_.series) {
            if (series.name.empty()) continue;
            named++;
            name = std::max(name, text_width(series.name, tick_font));
        }
        if (named == 0) return {};
        const double width = name + legend_key + 3 * legend_gap;
        const double height = named * legend_line + legend_gap;
        const double left = plot_.left + legend_gap;
        const double top = plot_.top + legend_gap / 2;
        const double right = plot_.right - legend_gap / 2;
        const double bottom = plot_.bottom - legend_gap;
        const Box corners[] = {
            {right - width, top, right, top + height},
            {left, top, left + width, top + height},
            {right - width, bottom - height, right, bottom},
            {left, bottom - height, left + width, bottom},
        };
        const auto* corner =
            std::find_if(std::begin(corners), std::end(corners),
                         [&](const Box& box) { return !hides(box); });
        if (corner != std::end(corners)) return *corner;
        plot_.right -= width + legend_gap;
        x_ = layout_x();
        return {plot_.right + 2 * legend_gap, plot_.top,
                plot_.right + 2 * legend_gap + width, plot_.top + height};
    }

    bool hides(const Box& box) const {
        constexpr int steps = 50;  // along each line
        for (const ChartSeries& series : chart_.series) {
            for (size_t p = 0; p < series.points.size(); p++) {
                const Pixel to = pixel(series.points[p]);
                const Pixel from = pixel(series.points[p > 0 ? p - 1 : 0]);
                for (int s = 1; s <= steps; s++) {
                    const double t = static_cast<double>(s) / steps;
                    if (box.holds({from.x + t * (to.x - from.x),
                                   from.y + t * (to.y - from.y)})) {
                        return true;
                    }
                }
            }
        }
        return false;
    }

    void draw_legend() {
        if (legend_.right == 0) return;
        svg_.frame(legend_);
        double y = legend_.top + (legend_gap + legend_line) / 2;
        for (size_t i = 0; i < chart_.series.size(); i++) {
            const ChartSeries& series = chart_.series[i];
            if (series.name.empty()) continue;
            const double x = legend_.left + legend_gap;
            if (series.has_line) {
                svg_.series_line(
                    i, move_to({x, y}) + line_to({x + legend_key, y}));
            }
            if (series.has_markers) {
                svg_.series_marker(i, {x + legend_key / 2, y});
            }
            svg_.text({x + legend_key + legend_gap, y + to_baseline}, tick_font,
                      "start", series.name);
            y += legend_line;
        }
    }

    const Chart& chart_;
    Box plot_;
    AxisLayout x_;
    AxisLayout y_;
    Box legend_;
    SvgWriter svg_;
};

}  // namespace

std::string svg_of(const Chart& chart) {
    require(chart.width >= 200 && chart.height >= 150, "a chart of ",
            chart.width, " x ", chart.height,
            " is too small; give it at least 200 x 150");
    const bool empty = std::all_of(
        chart.series.begin(), chart.series.end(),
        [](const ChartSeries& series) { return series.points.empty(); });
    require(!empty, "the chart '", chart.title, "' has no points to draw");
    return Drawing(chart).draw();
}

void write_svg(const Chart& chart, const std::string& path) {
    const std::string text = svg_of(chart);
    OutputFile out(path);
    out.write(text.data(), text.size());
    out.commit();
}

}  // namespace faiss_qbnorm
