#include "server/policy/markup.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "storage/base/errors.h"

namespace ckpt::policy {
namespace {

// The pieces of `text` as literal|name!conversion:spec, with * for a specification that has fields,
// and the message of the error that ended it, if one did.
std::vector<std::string> Pieces(std::string_view text) {
  std::vector<std::string> pieces;
  MarkupReader reader(text);
  while (!reader.done()) {
    const absl::StatusOr<Piece> piece = reader.Next();
    if (!piece.ok()) {
      EXPECT_EQ(ReasonOf(piece.status()), v1::ERROR_REASON_TEMPLATE_VALUE) << text;
      pieces.push_back("error: " + std::string(MessageOf(piece.status())));
      break;
    }
    std::string shown(piece->literal);
    if (const auto& field = piece->field; field.has_value()) {
      shown += "|" + std::string(field->name);
      if (field->conversion != 0) shown += std::string("!") + static_cast<char>(field->conversion);
      shown += ":" + std::string(field->spec) + (field->spec_has_fields ? "*" : "");
    }
    pieces.push_back(shown);
  }
  return pieces;
}

TEST(MarkupTest, CutsTemplates) {
  const struct {
    const char* text;
    std::vector<std::string> want;
  } cases[] = {
      {"", {}},
      {"plain", {"plain"}},
      {"a{b}c", {"a|b:", "c"}},
      {"a{{b}}", {"a{", "b}"}},
      {"{a!r:>5}", {"|a!r:>5"}},
      {"{val/loss:.2f}", {"|val/loss:.2f"}},
      {"{a[:}!{]}", {"|a[:}!{]:"}},
      {"{a.b[c].d}", {"|a.b[c].d:"}},
      {"{a:{b}.{c}f}", {"|a:{b}.{c}f*"}},
      {"{}", {"|:"}},
  };
  for (const auto& c : cases) EXPECT_EQ(Pieces(c.text), c.want) << c.text;
}

TEST(MarkupTest, FindsWhatIsMalformedOnlyWhenItGetsThere) {
  const struct {
    const char* text;
    std::vector<std::string> want;
  } cases[] = {
      {"a{b}}", {"a|b:", "error: Single '}' encountered in format string"}},
      {"a{b}{", {"a|b:", "error: Single '{' encountered in format string"}},
      {"{a", {"error: expected '}' before end of string"}},
      {"{a[}", {"error: expected '}' before end of string"}},
      {"{a{b}", {"error: unexpected '{' in field name"}},
      {"{a!", {"error: end of string while looking for conversion specifier"}},
      {"{a!r", {"error: unmatched '{' in format spec"}},
      {"{a!rr}", {"error: expected ':' after conversion specifier"}},
      {"{a:", {"error: unmatched '{' in format spec"}},
      {"{a:{b}", {"error: unmatched '{' in format spec"}},
  };
  for (const auto& c : cases) EXPECT_EQ(Pieces(c.text), c.want) << c.text;
}

}  // namespace
}  // namespace ckpt::policy
