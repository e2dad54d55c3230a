#include "client/ckptctl/progress_bar.h"

#include <fmt/format.h>

#include <utility>

#include "client/ckptctl/text.h"

namespace ckpt::ctl {

std::string ProgressLine(const std::string& label, int64_t done_bytes, int64_t total_bytes,
                         double bytes_per_second) {
  constexpr int kWidth = 30;
  const double share =
      total_bytes > 0 ? static_cast<double>(done_bytes) / static_cast<double>(total_bytes) : 1;
  const int filled = static_cast<int>(share * kWidth);
  const std::string speed =
      bytes_per_second > 0
          ? fmt::format("  {}/s", HumanBytes(static_cast<int64_t>(bytes_per_second)))
          : "";
  return fmt::format("{} [{:<{}}] {:3.0f}%  {} of {}{}", label, std::string(filled, '#'), kWidth,
                     share * 100, HumanBytes(done_bytes), HumanBytes(total_bytes), speed);
}

ProgressBar::ProgressBar(std::ostream& out, std::string label)
    : out_(out), label_(std::move(label)) {}

ProgressBar::~ProgressBar() {
  if (shown_) out_ << std::endl;
}

void ProgressBar::Update(int64_t done_bytes, int64_t total_bytes) {
  constexpr char kClearToEnd[] = "\x1b[K";
  if (first_ < 0) first_ = done_bytes;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began_;
  const double speed = static_cast<double>(done_bytes - first_) / std::max(took.count(), 1e-3);
  out_ << '\r' << ProgressLine(label_, done_bytes, total_bytes, speed) << kClearToEnd << std::flush;
  shown_ = true;
}

}  // namespace ckpt::ctl
