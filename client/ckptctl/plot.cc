#include "client/ckptctl/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "client/ckptctl/text.h"

namespace ckpt::ctl {
namespace {

constexpr int kDotsAcross = 2;  // in one character of braille
constexpr int kDotsDown = 4;
constexpr char32_t kBraille = 0x2800;

std::string Utf8(char32_t c) {  // of the basic plane, above ASCII
  return {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3F)),
          static_cast<char>(0x80 | (c & 0x3F))};
}

std::string Padded(const std::string& text, size_t width) {
  const size_t used = DisplayWidth(text);
  return used < width ? std::string(width - used, ' ') + text : text;
}

// Dots in columns from the left and rows from the top.
class Canvas {
 public:
  Canvas(int columns, int rows)
      : columns_(columns), cells_(static_cast<size_t>(columns) * static_cast<size_t>(rows)) {}

  void Line(int x, int y, int to_x, int to_y) {
    const int steps = std::max({std::abs(to_x - x), std::abs(to_y - y), 1});
    for (int i = 0; i <= steps; ++i) {
      Dot(x + (to_x - x) * i / steps, y + (to_y - y) * i / steps);
    }
  }
  void Dot(int x, int y) {
    // Bits of the eight dots, by column and row.
    constexpr unsigned char kBits[kDotsAcross][kDotsDown] = {{0x01, 0x02, 0x04, 0x40},
                                                             {0x08, 0x10, 0x20, 0x80}};
    Cell(x / kDotsAcross, y / kDotsDown) |= kBits[x % kDotsAcross][y % kDotsDown];
  }
  std::string Row(int row) {
    std::string text;
    for (int column = 0; column < columns_; ++column) {
      const unsigned char dots = Cell(column, row);
      text += dots == 0 ? " " : Utf8(kBraille + dots);
    }
    return text.substr(0, text.find_last_not_of(' ') + 1);
  }

 private:
  unsigned char& Cell(int column, int row) {
    return cells_[static_cast<size_t>(row) * static_cast<size_t>(columns_) +
                  static_cast<size_t>(column)];
  }

  int columns_;
  std::vector<unsigned char> cells_;
};

// What is finite in a series.
struct Extent {
  double least = 0;
  double most = 0;
};

std::optional<Extent> ExtentOf(const v1::MetricSeries& series) {
  std::optional<Extent> extent;
  for (const double value : series.values()) {
    if (!std::isfinite(value)) continue;
    if (!extent.has_value()) extent = {value, value};
    extent->least = std::min(extent->least, value);
    extent->most = std::max(extent->most, value);
  }
  return extent;
}

// The share of `value` in the way from `from` to `to`, on a scale of `places`.
int Place(double value, double from, double to, int places) {
  // Halves, so that the whole range of doubles has a length.
  const double share = to > from ? (value / 2 - from / 2) / (to / 2 - from / 2) : 0.5;
  return static_cast<int>(std::lround(share * (places - 1)));
}

class Plot {
 public:
  Plot(const v1::MetricSeries& series, const Extent& extent, int width, int height)
      : series_(series), extent_(extent), height_(height) {
    for (int row = 0; row < height; ++row) margin_ = std::max(margin_, Label(row).size());
    columns_ = std::max(width - static_cast<int>(margin_) - 2, 1);
  }

  std::string Draw(const std::vector<PlotMark>& marks) const {
    std::string text;
    Canvas canvas(columns_, height_);
    DrawCurve(canvas);
    for (int row = 0; row < height_; ++row) {
      const std::string label = Label(row);
      text += Padded(label, margin_) + (label.empty() ? " │" : " ┤") + canvas.Row(row) + '\n';
    }
    text += std::string(margin_ + 1, ' ') + "└";
    for (int i = 0; i < columns_; ++i) text += "─";
    return text + '\n' + MarkLines(marks) + Epochs();
  }

 private:
  double first() const { return static_cast<double>(series_.seqs(0)); }
  double last() const { return static_cast<double>(*series_.seqs().rbegin()); }

  // Values at the top, in the middle and at the bottom.
  std::string Label(int row) const {
    if (row == 0) return HumanNumber(extent_.most);
    if (row == height_ - 1) return HumanNumber(extent_.least);
    if (height_ % 2 == 1 && row == height_ / 2) {
      return HumanNumber(extent_.least / 2 + extent_.most / 2);
    }
    return "";
  }

  void DrawCurve(Canvas& canvas) const {
    int x_before = -1;
    int y_before = 0;
    for (int i = 0; i < series_.values_size(); ++i) {
      if (!std::isfinite(series_.values(i))) {
        x_before = -1;
        continue;
      }
      const int x =
          Place(static_cast<double>(series_.seqs(i)), first(), last(), columns_ * kDotsAcross);
      const int down = height_ * kDotsDown;
      const int y = down - 1 - Place(series_.values(i), extent_.least, extent_.most, down);
      x_before < 0 ? canvas.Dot(x, y) : canvas.Line(x_before, y_before, x, y);
      x_before = x;
      y_before = y;
    }
  }

  // Nothing without checkpoints in the range.
  std::string MarkLines(const std::vector<PlotMark>& marks) const {
    std::vector<std::string> cells(static_cast<size_t>(columns_), " ");
    int checkpoints = 0;
    bool best = false;
    for (const PlotMark& mark : marks) {
      const auto seq = static_cast<double>(mark.seq);
      if (seq < first() || seq > last()) continue;
      std::string& cell = cells[static_cast<size_t>(Place(seq, first(), last(), columns_))];
      if (cell != "★") cell = mark.best ? "★" : "▲";
      best |= mark.best;
      ++checkpoints;
    }
    if (checkpoints == 0) return "";
    std::string line;
    for (const std::string& cell : cells) line += cell;
    line = line.substr(0, line.find_last_not_of(' ') + 1);
    const std::string indent(margin_ + 2, ' ');
    return fmt::format("{0}{1}\n{0}▲ {2}{3}\n", indent, line,
                       checkpoints == 1 ? "checkpoint" : fmt::format("{} checkpoints", checkpoints),
                       best ? ", ★ the best" : "");
  }

  std::string Epochs() const {
    const std::string from = fmt::format("epoch {}", series_.epochs(0));
    const std::string to = fmt::format("epoch {}", *series_.epochs().rbegin());
    const size_t gap = static_cast<size_t>(columns_) > from.size() + to.size()
                           ? static_cast<size_t>(columns_) - from.size() - to.size()
                           : 1;
    return std::string(margin_ + 2, ' ') + from + std::string(gap, ' ') + to + '\n';
  }

  const v1::MetricSeries& series_;
  const Extent extent_;
  const int height_;
  size_t margin_ = 0;
  int columns_ = 1;
};

}  // namespace

std::string DrawPlot(const v1::MetricSeries& series, const std::vector<PlotMark>& marks, int width,
                     int height) {
  const std::string name = Escaped(series.metric());
  const auto extent = ExtentOf(series);
  if (!extent.has_value()) {
    return fmt::format("{}: {}\n", name,
                       series.values().empty() ? "no points" : "no point is a finite number");
  }
  const std::string heading =
      fmt::format("{}: {} at the end, {} to {}\n", name, HumanNumber(*series.values().rbegin()),
                  HumanNumber(extent->least), HumanNumber(extent->most));
  return heading + Plot(series, *extent, width, height).Draw(marks);
}

}  // namespace ckpt::ctl
