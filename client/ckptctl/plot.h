// A metric's course, drawn with the characters of a terminal.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ckpt/v1/catalog_service.pb.h"

namespace ckpt::ctl {

// A checkpoint to be marked below the plot.
struct PlotMark {
  uint64_t seq = 0;
  bool best = false;
};

// Several lines: a heading, as long as the metric's name makes it, and below it lines of at most
// `width` columns: `height` rows of two by four dots a column, an axis with a mark for each
// checkpoint, the first and the last epoch. Sequence numbers go to the right. What is not finite
// leaves a gap; a series without anything finite is its heading alone. `width` is at least 40,
// `height` at least 2.
std::string DrawPlot(const v1::MetricSeries& series, const std::vector<PlotMark>& marks, int width,
                     int height);

}  // namespace ckpt::ctl
