#include "server/policy/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "storage/base/utf8.h"

namespace ckpt::policy {
namespace {

std::string_view Sign(const Parts& parts, const FormatSpec& spec) {
  if (parts.negative) return "-";
  if (spec.sign == '+') return "+";
  if (spec.sign == ' ') return " ";
  return "";
}

// Fills `digits` up with zeros to `least` characters and puts separators between the groups. A
// separator never comes first, so the result may be one longer than `least`.
std::string Group(std::string digits, int64_t least, const FormatSpec& spec) {
  const int64_t size = IsOtherBase(spec.type) ? 4 : 3;
  const int64_t separators = spec.grouping == '\0' ? 0 : (least - 1) / (size + 1);
  const int64_t zeros = least - separators - std::ssize(digits);
  if (zeros > 0) digits.insert(0, zeros, '0');
  if (spec.grouping == '\0') return digits;
  for (int64_t i = std::ssize(digits) - size; i > 0; i -= size) digits.insert(i, 1, spec.grouping);
  return digits;
}

std::string Pad(int64_t count, char32_t fill) {
  std::string padding;
  for (; count > 0; --count) AppendUtf8(fill, padding);
  return padding;
}

}  // namespace

std::string Layout(const Parts& parts, const FormatSpec& spec) {
  const std::string head = fmt::format("{}{}", Sign(parts, spec), parts.prefix);
  const auto rest_width = static_cast<int64_t>(CountCodePoints(parts.rest));
  const int64_t room = spec.width - std::ssize(head) - rest_width;
  const bool zeros = spec.fill == U'0' && spec.align == '=';
  const std::string digits =
      parts.digits.empty() ? "" : Group(parts.digits, zeros ? room : 0, spec);
  const int64_t padding = std::max<int64_t>(0, room - std::ssize(digits));

  const int64_t left = spec.align == '>' ? padding : spec.align == '^' ? padding / 2 : 0;
  const int64_t inner = spec.align == '=' ? padding : 0;
  return fmt::format("{}{}{}{}{}{}", Pad(left, spec.fill), head, Pad(inner, spec.fill), digits,
                     parts.rest, Pad(padding - left - inner, spec.fill));
}

bool IsOtherBase(char32_t type) {
  return type == U'b' || type == U'o' || type == U'x' || type == U'X';
}

}  // namespace ckpt::policy
