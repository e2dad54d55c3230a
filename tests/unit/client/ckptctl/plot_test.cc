#include "client/ckptctl/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "client/ckptctl/text.h"

namespace ckpt::ctl {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kMost = std::numeric_limits<double>::max();

v1::MetricSeries MakeSeries(const std::vector<double>& values) {
  v1::MetricSeries series;
  series.set_metric("loss");
  for (const double value : values) {
    series.add_seqs(static_cast<uint64_t>(series.values_size()) + 1);
    series.add_epochs(series.values_size() / 2);
    series.add_batches(0);
    series.add_times_unix_nanos(0);
    series.add_values(value);
  }
  return series;
}

TEST(DrawPlot, DrawsCurveAxisMarksAndEpochs) {
  EXPECT_EQ(
      DrawPlot(MakeSeries({4, 3, 2, 1, 1, 1, 1, 1, 1}), {{3, false}, {4, true}, {9, false}}, 24, 3),
      "loss: 1 at the end, 1 to 4\n"
      "  4 ┤⠉⠢⡀\n"
      "2.5 ┤  ⠈⠑⢄⡀\n"
      "  1 ┤     ⠈⠢⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀\n"
      "    └───────────────────\n"
      "          ▲ ★          ▲\n"
      "     ▲ 3 checkpoints, ★ the best\n"
      "     epoch 0     epoch 4\n");
}

TEST(DrawPlot, MarksOnlyWhatIsInSight) {
  const v1::MetricSeries series = MakeSeries({1, 2, 3});
  EXPECT_THAT(DrawPlot(series, {{0, false}, {4, true}}, 40, 5), Not(HasSubstr("▲")));
  EXPECT_THAT(DrawPlot(series, {{2, false}}, 40, 5), HasSubstr("▲ checkpoint\n"));
  EXPECT_THAT(DrawPlot(series, {{2, true}, {2, false}}, 40, 5), HasSubstr("★\n"));
}

TEST(DrawPlot, HoldsWhateverTheValuesAre) {
  const std::vector<std::vector<double>> table = {
      {5},           {5, 5, 5},     {kNaN, 1, kNaN, 2, kNaN}, {-kMost, kMost}, {1e-300, 2e-300},
      {0, INFINITY}, {-1, -2, -1.5}};
  for (const auto& values : table) {
    for (const int width : {40, 80}) {
      std::istringstream plot(DrawPlot(MakeSeries(values), {{1, true}}, width, 4));
      std::string heading;
      std::getline(plot, heading);
      int lines = 1;
      for (std::string line; std::getline(plot, line); ++lines) {
        EXPECT_LE(DisplayWidth(line), static_cast<size_t>(width)) << line;
      }
      EXPECT_EQ(lines, 9);
    }
  }
}

TEST(DrawPlot, SaysWhenThereIsNothingToDraw) {
  EXPECT_EQ(DrawPlot(MakeSeries({}), {}, 40, 4), "loss: no points\n");
  EXPECT_EQ(DrawPlot(MakeSeries({kNaN, -INFINITY}), {}, 40, 4),
            "loss: no point is a finite number\n");
}

TEST(DrawPlot, NamesCommandNoTerminal) {
  v1::MetricSeries series = MakeSeries({1, 2});
  series.set_metric("a\x1b[2Jb");
  EXPECT_THAT(DrawPlot(series, {}, 40, 4), HasSubstr("a\\x1b[2Jb"));
}

}  // namespace
}  // namespace ckpt::ctl
