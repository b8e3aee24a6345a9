#pragma once

#include <optional>
#include <string>
#include <vector>

namespace faiss_qbnorm {

enum class Scale { linear, log };

/// An axis of a chart.
struct Axis {
    std::string label;
    Scale scale = Scale::linear;
    /// Log only: zeros are drawn too, apart from the rest, at a place of their
    /// own before the first value.
    bool shows_zero = false;
    /// What the axis shows besides the data: it begins, and ends, here or
    /// beyond.
    std::optional<double> from;
    std::optional<double> to;
};

/// A grid line, and what is written at it; nothing where there is no room.
struct Tick {
    double value = 0;
    std::string label;
};

/// An axis laid over a stretch of pixels.
class AxisLayout {
  public:
    /// `values` are all that will be drawn. Throws where one has no place: NaN
    /// or Inf, or on a log axis below zero (or zero, unless it is shown).
    AxisLayout(const Axis& axis, const std::vector<double>& values,
               double first_pixel, double last_pixel);

    double pixel(double value) const;
    /// At round numbers, in rising order.
    const std::vector<Tick>& ticks() const { return ticks_; }
    /// Whether the value is drawn at the place for zeros.
    bool is_apart(double value) const { return shows_zero_ && value == 0; }
    bool has_apart() const { return shows_zero_; }

  private:
    double place(double value) const;
    void lay_linear(double low, double high);
    void lay_log(double low, double high);

    Axis axis_;
    double first_pixel_;
    double last_pixel_;
    bool shows_zero_ = false;
    double begin_ = 0;  // places, where log axes have logarithms
    double end_ = 1;
    std::vector<Tick> ticks_;
};

/// A number as a tick shows it: 0.05, 1,000, 10⁶.
std::string tick_label(double value);

}  // namespace faiss_qbnorm
