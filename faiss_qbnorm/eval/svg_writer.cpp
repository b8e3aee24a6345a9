#include "faiss_qbnorm/eval/svg_writer.h"

#include <algorithm>
#include <cstdio>
#include <iterator>

namespace faiss_qbnorm {

namespace {

constexpr const char* colours[] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                   "#E69F00", "#56B4E9", "#000000", "#7A5195"};

const char* colour_of(size_t series) {
    return colours[series % std::size(colours)];
}

std::string escaped(const std::string& text) {
    std::string result;
    for (const char letter : text) {
        switch (letter) {
            case '&':
                result += "&amp;";
                break;
            case '<':
                result += "&lt;";
                break;
            case '>':
                result += "&gt;";
                break;
            case '"':
                result += "&quot;";
                break;
            default:  // XML has no control characters
                result +=
                    static_cast<unsigned char>(letter) < 32 ? ' ' : letter;
        }
    }
    return result;
}

// To a tenth of a pixel.
std::string px(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", value);
    return text;
}

std::string pen(char command, Pixel at) {
    return std::string(1, command)
        .append(px(at.x))
        .append(" ")
        .append(px(at.y));
}

}  // namespace

double text_width(const std::string& text, double font) {
    const auto letters = std::count_if(text.begin(), text.end(), [](char byte) {
        return (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U;
    });
    return 0.56 * font * static_cast<double>(letters);
}

std::string move_to(Pixel at) {
    return pen('M', at);
}

std::string line_to(Pixel at) {
    return pen('L', at);
}

SvgWriter::SvgWriter(int width, int height) {
    out_ << "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " << width
         << " " << height << "\" width=\"" << width << "\" height=\"" << height
         << "\" font-family=\"Helvetica, Arial, 'Liberation Sans', 'DejaVu "
            "Sans', sans-serif\" fill=\"#222\">\n"
         << "<rect width=\"" << width << "\" height=\"" << height
         << "\" fill=\"#fff\"/>\n";
}

void SvgWriter::line(Pixel from, Pixel to, const char* colour, double width) {
    out_ << "<line x1=\"" << px(from.x) << "\" y1=\"" << px(from.y)
         << "\" x2=\"" << px(to.x) << "\" y2=\"" << px(to.y) << "\" stroke=\""
         << colour << "\" stroke-width=\"" << width << "\"/>\n";
}

void SvgWriter::text(Pixel at, double font, const char* anchor,
                     const std::string& words, const std::string& attributes) {
    out_ << "<text x=\"" << px(at.x) << "\" y=\"" << px(at.y)
         << "\" font-size=\"" << font << "\" text-anchor=\"" << anchor << "\""
         << attributes << ">" << escaped(words) << "</text>\n";
}

void SvgWriter::frame(const Box& box) {
    out_ << "<rect x=\"" << px(box.left) << "\" y=\"" << px(box.top)
         << "\" width=\"" << px(box.right - box.left) << "\" height=\""
         << px(box.bottom - box.top)
         << "\" rx=\"3\" fill=\"#fff\" stroke=\"#ddd\" "
            "stroke-width=\"0.8\"/>\n";
}

void SvgWriter::series_line(size_t series, const std::string& path) {
    const bool again = series >= std::size(colours);
    out_ << "<path d=\"" << path << "\" fill=\"none\" stroke=\""
         << colour_of(series)
         << "\" stroke-width=\"1.8\" stroke-linejoin=\"round\""
         << (again ? " stroke-dasharray=\"5 3\"" : "") << "/>\n";
}

void SvgWriter::series_marker(size_t series, Pixel at) {
    switch (series % 5) {
        case 0:
            out_ << "<circle cx=\"" << px(at.x) << "\" cy=\"" << px(at.y)
                 << "\" r=\"3.9\"";
            break;
        case 1:
            polygon(at, {{-3.6, -3.6}, {3.6, -3.6}, {3.6, 3.6}, {-3.6, 3.6}});
            break;
        case 2:
            polygon(at, {{0, -4.8}, {4.5, 3.4}, {-4.5, 3.4}});
            break;
        case 3:
            polygon(at, {{0, -5}, {5, 0}, {0, 5}, {-5, 0}});
            break;
        default:
            polygon(at, {{0, 4.8}, {4.5, -3.4}, {-4.5, -3.4}});
    }
    out_ << " fill=\"" << colour_of(series)
         << "\" stroke=\"#fff\" stroke-width=\"0.9\"/>\n";
}

void SvgWriter::polygon(Pixel at, const std::vector<Pixel>& corners) {
    out_ << "<polygon points=\"";
    for (const Pixel& corner : corners) {
        out_ << px(at.x + corner.x) << "," << px(at.y + corner.y) << " ";
    }
    out_ << "\"";
}

std::string SvgWriter::finish() {
    out_ << "</svg>\n";
    return out_.str();
}

}  // namespace faiss_qbnorm
