#include "client/ckptctl/text.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "google/protobuf/util/time_util.h"

namespace ckpt::ctl {
namespace {

bool IsContinuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

// Bytes of the code point at the start of `text`; 0 for a control character or what is not UTF-8.
// Overlong forms pass: no terminal acts on them.
size_t PrintableLength(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x20 || lead == 0x7F) return 0;
  if (lead < 0x80) return 1;
  const size_t length = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if (!IsContinuation(text[i])) return 0;
  }
  const bool c1_control = lead == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0;
  return c1_control ? 0 : length;
}

}  // namespace

std::string Escaped(std::string_view text) {
  std::string escaped;
  while (!text.empty()) {
    const size_t length = PrintableLength(text);
    if (length > 0) {
      escaped += text.substr(0, length);
    } else if (text[0] == '\n') {
      escaped += "\\n";
    } else if (text[0] == '\t') {
      escaped += "\\t";
    } else {
      escaped += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[0]));
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return escaped;
}

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  for (const char byte : text) width += IsContinuation(byte) ? 0 : 1;
  return width;
}

std::string HumanBytes(int64_t bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  // 1023.95 would be rounded to 1024.0.
  while (value >= 1023.95 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string HumanNumber(double value) { return fmt::format("{:.6g}", value); }

std::string ExactNumber(double value) { return fmt::format("{}", value); }

std::string HumanTime(const google::protobuf::Timestamp& time) {
  std::string text = ExactTime(time);  // 2026-11-23T18:27:00.123Z
  if (text.size() < sizeof("2026-11-23T18:27:00")) return text;
  text.resize(sizeof("2026-11-23T18:27:00") - 1);
  text[text.find('T')] = ' ';
  return text + "Z";
}

std::string ExactTime(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0 && time.nanos() == 0) return {};
  return google::protobuf::util::TimeUtil::ToString(time);
}

}  // namespace ckpt::ctl
