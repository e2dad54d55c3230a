#include "server/policy/python_repr.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "storage/base/utf8.h"

namespace ckpt::policy {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

// Control, format, private and separating characters (Cc, Cf, Co, Zs, Zl, Zp) but the space.
constexpr Range kNotPrintable[] = {
    {0x00, 0x1F},       {0x7F, 0xA0},       {0xAD, 0xAD},         {0x600, 0x605},
    {0x61C, 0x61C},     {0x6DD, 0x6DD},     {0x70F, 0x70F},       {0x890, 0x891},
    {0x8E2, 0x8E2},     {0x1680, 0x1680},   {0x180E, 0x180E},     {0x2000, 0x200F},
    {0x2028, 0x202F},   {0x205F, 0x206F},   {0x3000, 0x3000},     {0xE000, 0xF8FF},
    {0xFEFF, 0xFEFF},   {0xFFF9, 0xFFFB},   {0x110BD, 0x110BD},   {0x110CD, 0x110CD},
    {0x13430, 0x1343F}, {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A},   {0xE0001, 0xE0001},
    {0xE0020, 0xE007F}, {0xF0000, 0xFFFFD}, {0x100000, 0x10FFFD},
};

bool IsPrintable(char32_t c) {
  return std::ranges::none_of(kNotPrintable,
                              [c](Range range) { return c >= range.first && c <= range.last; });
}

std::string Escape(char32_t c) {
  const auto code = static_cast<uint32_t>(c);
  if (c == U'\n') return "\\n";
  if (c == U'\r') return "\\r";
  if (c == U'\t') return "\\t";
  if (c < 0x100) return fmt::format("\\x{:02x}", code);
  if (c < 0x10000) return fmt::format("\\u{:04x}", code);
  return fmt::format("\\U{:08x}", code);
}

}  // namespace

std::string PythonRepr(std::string_view text) {
  const bool double_quotes = text.find('\'') != text.npos && text.find('"') == text.npos;
  const char quote = double_quotes ? '"' : '\'';
  std::string repr(1, quote);
  while (!text.empty()) {
    const char32_t c = TakeCodePoint(text);
    if (c == U'\\' || c == static_cast<char32_t>(quote)) repr.push_back('\\');
    if (IsPrintable(c)) {
      AppendUtf8(c, repr);
    } else {
      repr += Escape(c);
    }
  }
  repr.push_back(quote);
  return repr;
}

}  // namespace ckpt::policy
