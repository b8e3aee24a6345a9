#pragma once

#include <sstream>
#include <string>
#include <vector>

namespace faiss_qbnorm {

/// A place on a drawing, in pixels from its top left.
struct Pixel {
    double x = 0;
    double y = 0;
};

struct Box {
    double left = 0;
    double top = 0;
    double right = 0;
    double bottom = 0;

    bool holds(Pixel at) const {
        return at.x >= left && at.x <= right && at.y >= top && at.y <= bottom;
    }
};

/// Font sizes of a chart, in pixels.
inline constexpr double tick_font = 12;
inline constexpr double label_font = 13.5;
inline constexpr double title_font = 15;

/// About how wide a text is: which font there is, the viewer decides.
double text_width(const std::string& text, double font);

/// Writes the shapes of a chart as SVG, texts escaped.
class SvgWriter {
  public:
    SvgWriter(int width, int height);

    void line(Pixel from, Pixel to, const char* colour, double width);
    void text(Pixel at, double font, const char* anchor,
              const std::string& words, const std::string& attributes = "");
    void frame(const Box& box);

    /// Series number `series`'s own line and marker: another colour each, the
    /// eight of a palette that the colour-blind tell apart (after Okabe and Ito
    /// 2008), then those again, dashed.
    void series_line(size_t series, const std::string& path);
    void series_marker(size_t series, Pixel at);

    /// The document, which ends here.
    std::string finish();

  private:
    void polygon(Pixel at, const std::vector<Pixel>& corners);

    std::ostringstream out_;
};

/// Of a path: a pen put down at, or drawn to, a pixel.
std::string move_to(Pixel at);
std::string line_to(Pixel at);

}  // namespace faiss_qbnorm
