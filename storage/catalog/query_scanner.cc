#include "storage/catalog/query_scanner.h"

#include <fmt/format.h>

#include "absl/strings/ascii.h"
#include "storage/base/errors.h"

namespace ckpt::storage {
namespace {

constexpr size_t kExcerptBytes = 64;

bool IsNameChar(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_'; }

bool IsNumberChar(char c) { return IsNameChar(c) || c == '+' || c == '-' || c == '.'; }

// Bytes of the UTF-8 character that `text` begins with; 0 if it begins with none.
size_t CharacterBytes(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const size_t bytes = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (text.size() < bytes) return 0;
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Longer than need be, a surrogate, or above U+10FFFF.
  if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) >= 0xa0) ||
      (lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) >= 0x90)) {
    return 0;
  }
  return bytes;
}

// The beginning of `text` that is UTF-8.
std::string_view Utf8Prefix(std::string_view text) {
  size_t size = 0;
  while (size < text.size()) {
    const size_t bytes = CharacterBytes(text.substr(size));
    if (bytes == 0) break;
    size += bytes;
  }
  return text.substr(0, size);
}

}  // namespace

// Messages repeat the text and must be UTF-8 themselves.
absl::Status QueryScanner::CheckText() const {
  if (text_.size() > kMaxQueryBytes) {
    const std::string_view excerpt = Utf8Prefix(text_.substr(0, kExcerptBytes));
    return QueryInvalid(
        field_, fmt::format("{}...", excerpt), kMaxQueryBytes,
        fmt::format("it has {} bytes, {} are allowed", text_.size(), kMaxQueryBytes));
  }
  if (const std::string_view prefix = Utf8Prefix(text_); prefix.size() < text_.size()) {
    return QueryInvalid(field_, prefix, prefix.size(), "this is not UTF-8");
  }
  if (const size_t nul = text_.find('\0'); nul != std::string_view::npos) {
    return Error(nul, "NUL is not allowed");
  }
  return absl::OkStatus();
}

bool QueryScanner::AtEnd() { return position() == text_.size(); }

size_t QueryScanner::position() {
  SkipSpace();
  return position_;
}

bool QueryScanner::Take(std::string_view symbol) {
  SkipSpace();
  if (!text_.substr(position_).starts_with(symbol)) return false;
  position_ += symbol.size();
  return true;
}

std::string_view QueryScanner::TakeName() { return TakeWhile(IsNameChar); }

std::string_view QueryScanner::TakeNumber() { return TakeWhile(IsNumberChar); }

bool QueryScanner::AtQuote() {
  SkipSpace();
  return text_.substr(position_).starts_with('"');
}

absl::StatusOr<std::string> QueryScanner::TakeQuoted() {
  const size_t start = position();
  if (!Take("\"")) return Error(start, "expected text in double quotes");
  std::string content;
  for (; position_ < text_.size(); ++position_) {
    char c = text_[position_];
    if (c == '"') {
      ++position_;
      return content;
    }
    if (c == '\\') {
      ++position_;
      c = position_ < text_.size() ? text_[position_] : '\0';
      if (c != '"' && c != '\\') return Error(position_ - 1, "expected \\\" or \\\\");
    }
    content.push_back(c);
  }
  return Error(start, "this quote is not closed");
}

absl::Status QueryScanner::Error(size_t position, std::string_view what) const {
  return QueryInvalid(field_, text_, position, what);
}

void QueryScanner::SkipSpace() {
  while (position_ < text_.size() && (text_[position_] == ' ' || text_[position_] == '\t')) {
    ++position_;
  }
}

template <typename Accept>
std::string_view QueryScanner::TakeWhile(Accept accept) {
  SkipSpace();
  const size_t start = position_;
  while (position_ < text_.size() && accept(text_[position_])) ++position_;
  return text_.substr(start, position_ - start);
}

}  // namespace ckpt::storage
