#include "server/policy/markup.h"

#include <algorithm>
#include <cstddef>

#include "absl/status/status.h"
#include "storage/base/errors.h"
#include "storage/base/utf8.h"

namespace ckpt::policy {

absl::StatusOr<Piece> MarkupReader::Next() {
  const size_t brace = rest_.find_first_of("{}");
  if (brace == rest_.npos) return Piece{std::exchange(rest_, {})};

  const char c = rest_[brace];
  const std::string_view after = rest_.substr(brace + 1);
  if (after.starts_with(c)) {  // {{ and }} stand for one brace
    const Piece piece{rest_.substr(0, brace + 1)};
    rest_ = after.substr(1);
    return piece;
  }
  if (c == '}') return TemplateValue("Single '}' encountered in format string");
  if (after.empty()) return TemplateValue("Single '{' encountered in format string");

  Piece piece{rest_.substr(0, brace)};
  rest_ = after;
  absl::StatusOr<Field> field = TakeField();
  if (!field.ok()) return field.status();
  piece.field = *field;
  return piece;
}

// Leaves `rest_` after the closing brace.
absl::StatusOr<Field> MarkupReader::TakeField() {
  absl::StatusOr<std::string_view> name = TakeName();
  if (!name.ok()) return name.status();
  Field field{*name};
  char end = rest_[0];
  rest_.remove_prefix(1);
  if (end == '!') {
    absl::StatusOr<char32_t> conversion = TakeConversion();
    if (!conversion.ok()) return conversion.status();
    field.conversion = *conversion;
    if (!rest_.empty()) {
      end = rest_[0];
      if (end != '}' && end != ':') {
        return TemplateValue("expected ':' after conversion specifier");
      }
      rest_.remove_prefix(1);
    }
  }
  if (end == '}') return field;
  if (absl::Status status = TakeSpec(field); !status.ok()) return status;
  return field;
}

// Up to the character that ends it, which stays; in brackets, any character is part of the name.
absl::StatusOr<std::string_view> MarkupReader::TakeName() {
  size_t end = 0;
  while (end < rest_.size()) {
    const char c = rest_[end];
    if (c == '{') return TemplateValue("unexpected '{' in field name");
    if (c == '}' || c == ':' || c == '!') {
      const std::string_view name = rest_.substr(0, end);
      rest_.remove_prefix(end);
      return name;
    }
    end = c == '[' ? std::min(rest_.find(']', end), rest_.size()) : end + 1;
  }
  return TemplateValue("expected '}' before end of string");
}

absl::StatusOr<char32_t> MarkupReader::TakeConversion() {
  if (rest_.empty()) {
    return TemplateValue("end of string while looking for conversion specifier");
  }
  return TakeCodePoint(rest_);
}

// Up to the brace that closes the field.
absl::Status MarkupReader::TakeSpec(Field& field) {
  int depth = 1;
  for (size_t i = 0; i < rest_.size(); ++i) {
    if (rest_[i] == '{') {
      field.spec_has_fields = true;
      ++depth;
    } else if (rest_[i] == '}' && --depth == 0) {
      field.spec = rest_.substr(0, i);
      rest_.remove_prefix(i + 1);
      return absl::OkStatus();
    }
  }
  return TemplateValue("unmatched '{' in format spec");
}

}  // namespace ckpt::policy
