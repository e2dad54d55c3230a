// Takes a str.format template apart into literal text and replacement fields. Nothing is evaluated.
#pragma once

#include <optional>
#include <string_view>

#include "absl/status/statusor.h"

namespace ckpt::policy {

// {name!conversion:spec}
struct Field {
  std::string_view name;    // with attributes and indices, such as `loss.real`
  char32_t conversion = 0;  // 0: none
  std::string_view spec = {};
  bool spec_has_fields = false;  // `spec` is a template itself
};

// Literal text and the field after it, if there is one.
struct Piece {
  std::string_view literal;
  std::optional<Field> field = {};
};

// Reads a template piece by piece. As in Python, what is malformed is only found when reading gets
// there. Pieces point into the template.
class MarkupReader {
 public:
  explicit MarkupReader(std::string_view text) : rest_(text) {}

  bool done() const { return rest_.empty(); }
  // The next piece, unless done(). TEMPLATE_VALUE with Python's words.
  absl::StatusOr<Piece> Next();

 private:
  absl::StatusOr<Field> TakeField();
  absl::StatusOr<std::string_view> TakeName();
  absl::StatusOr<char32_t> TakeConversion();
  absl::Status TakeSpec(Field& field);

  std::string_view rest_;
};

}  // namespace ckpt::policy
