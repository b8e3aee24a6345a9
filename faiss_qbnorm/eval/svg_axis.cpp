#include "faiss_qbnorm/eval/svg_axis.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>

#include "faiss_qbnorm/core/error.h"

namespace faiss_qbnorm {

namespace {

/// Pixels that a log axis keeps for zeros.
constexpr double apart_pixels = 46;

// Digits in groups of three: 12,000.
std::string grouped(const std::string& digits) {
    const size_t point = std::min(digits.find('.'), digits.size());
    const size_t first = digits.starts_with('-') ? 1 : 0;
    std::string result;
    for (size_t i = 0; i < digits.size(); i++) {
        if (i > first && i < point && (point - i) % 3 == 0) result += ',';
        result += digits[i];
    }
    return result;
}

// A power of ten from a million on, or below a hundred-thousandth.
std::string power_of_ten(int exponent) {
    static const char* const digits[] = {"⁰", "¹", "²", "³", "⁴",
                                         "⁵", "⁶", "⁷", "⁸", "⁹"};
    std::string label = "10";
    if (exponent < 0) label += "⁻";
    for (const char digit : std::to_string(std::abs(exponent))) {
        label += digits[digit - '0'];
    }
    return label;
}

// Every tick of an axis with the decimals that its step needs.
std::string with_decimals(double value, double step) {
    if (step >= 1 || step < 1e-4) return tick_label(value);
    const double zero_free = std::fabs(value) < step / 2 ? 0 : value;
    char digits[40];
    std::snprintf(digits, sizeof digits, "%.*f",
                  static_cast<int>(std::ceil(-std::log10(step) - 1e-9)),
                  zero_free);
    return grouped(digits);
}

// The least of 1, 2 and 5 times a power of ten that is not below `step`.
double round_up(double step) {
    const double unit = std::pow(10, std::floor(std::log10(step)));
    for (const double factor : {1.0, 2.0, 5.0}) {
        if (factor * unit >= step * (1 - 1e-9)) return factor * unit;
    }
    return 10 * unit;
}

}  // namespace

std::string tick_label(double value) {
    if (value == 0) return "0";
    const double size = std::fabs(value);
    const int exponent = static_cast<int>(std::floor(std::log10(size) + 1e-9));
    const double mantissa = value / std::pow(10, exponent);
    if (exponent >= 6 || exponent <= -5) {
        std::string power = power_of_ten(exponent);
        const auto factor = std::lround(mantissa);
        if (factor == 1) return power;
        return std::to_string(factor).append("·").append(power);
    }
    char digits[40];
    std::snprintf(digits, sizeof digits, "%.10g",
                  std::round(value * 1e9) / 1e9);
    return grouped(digits);
}

AxisLayout::AxisLayout(const Axis& axis, const std::vector<double>& values,
                       double first_pixel, double last_pixel)
    : axis_(axis), first_pixel_(first_pixel), last_pixel_(last_pixel) {
    const bool log = axis.scale == Scale::log;
    std::vector<double> placed;
    for (const double value : values) {
        require(std::isfinite(value), "the chart's axis '", axis.label,
                "' has no place for NaN or Inf");
        if (log && axis.shows_zero && value == 0) {
            shows_zero_ = true;
            continue;
        }
        require(!log || value > 0, "the chart's axis '", axis.label,
                "' is logarithmic and has no place for ", value);
        placed.push_back(value);
    }
    if (placed.empty()) placed.push_back(1);
    const auto [least, most] =
        std::minmax_element(placed.begin(), placed.end());
    const double low = std::min(*least, axis.from.value_or(*least));
    const double high = std::max(*most, axis.to.value_or(*most));
    require(!log || low > 0, "the chart's axis '", axis.label,
            "' is logarithmic and cannot begin at ", low);
    if (log) {
        lay_log(low, high);
    } else {
        lay_linear(low, high);
    }
}

void AxisLayout::lay_linear(double low, double high) {
    if (low == high) {
        const double room = low == 0 ? 1 : std::fabs(low) / 10;
        low -= room;
        high += room;
    }
    constexpr double most_steps = 8;
    const double step = round_up((high - low) / most_steps);
    begin_ = axis_.from ? low : std::floor(low / step + 1e-9) * step;
    end_ = axis_.to ? high : std::ceil(high / step - 1e-9) * step;
    const auto first = std::llround(std::ceil(begin_ / step - 1e-9));
    const auto last = std::llround(std::floor(end_ / step + 1e-9));
    for (auto i = first; i <= last; i++) {
        const double value = static_cast<double>(i) * step;
        ticks_.push_back({value, with_decimals(value, step)});
    }
}

void AxisLayout::lay_log(double low, double high) {
    // Room for the first and the last marker, on both sides.
    const double room = std::max(0.04 * std::log10(high / low), 0.04);
    begin_ = std::log10(low) - (axis_.from ? 0 : room);
    end_ = std::log10(high) + (axis_.to ? 0 : room);
    const double decades = end_ - begin_;
    for (int e = static_cast<int>(std::floor(begin_)); e <= end_; e++) {
        for (int factor = 1; factor < 10; factor++) {
            const double value = factor * std::pow(10, e);
            const double at = std::log10(value);
            if (at < begin_ - 1e-9 || at > end_ + 1e-9) continue;
            const bool sparse = factor == 1 || factor == 2 || factor == 5;
            const bool labelled = decades > 3.2   ? factor == 1
                                  : decades > 0.7 ? sparse
                                                  : true;
            if (labelled) ticks_.push_back({value, tick_label(value)});
        }
    }
}

double AxisLayout::place(double value) const {
    return axis_.scale == Scale::log ? std::log10(value) : value;
}

double AxisLayout::pixel(double value) const {
    const double away = first_pixel_ < last_pixel_ ? 1 : -1;
    if (is_apart(value)) return first_pixel_ + away * apart_pixels / 2;
    const double first = first_pixel_ + (shows_zero_ ? away * apart_pixels : 0);
    return first +
           (place(value) - begin_) / (end_ - begin_) * (last_pixel_ - first);
}

}  // namespace faiss_qbnorm
