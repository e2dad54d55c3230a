#include "server/policy/file_name.h"

#include <gtest/gtest.h>

#include <iterator>
#include <random>
#include <string>

#include "storage/base/errors.h"

namespace ckpt::policy {
namespace {

using std::string_literals::operator""s;

absl::StatusOr<FileName> Make(std::string_view filepath, const Logs& logs = {}) {
  return MakeFileName(filepath, 0, std::nullopt, logs);
}

TEST(FileNameTest, VariablesAreOneBased) {
  const Logs logs = {{"loss", {.number = 0.5}}, {"steps", {12, true, 12}}};
  EXPECT_EQ(MakeFileName("w{epoch:02d}-{loss}-{steps}.h5", 8, std::nullopt, logs)->text,
            "w09-0.5-12.h5");
  EXPECT_EQ(MakeFileName("{epoch}-{batch:03d}", 0, 41, logs)->text, "1-042");
}

TEST(FileNameTest, AMetricNamedBatchWins) {
  const Logs logs = {{"batch", {99, true, 99}}};
  EXPECT_EQ(MakeFileName("{batch}", 0, 3, logs)->text, "99");
  EXPECT_EQ(MakeFileName("{batch}", 0, std::nullopt, logs)->text, "99");
}

TEST(FileNameTest, FailsAsTheReference) {
  const struct {
    const char* filepath;
    Logs logs;
    v1::ErrorReason reason;
    const char* why;
  } cases[] = {
      {"m-{mape:.2f}", {}, v1::ERROR_REASON_TEMPLATE_KEY, "'mape'"},
      {"e-{batch}", {}, v1::ERROR_REASON_TEMPLATE_KEY, "'batch'"},
      {"{x:d}",
       {{"x", {.number = 1}}},
       v1::ERROR_REASON_TEMPLATE_VALUE,
       "Unknown format code 'd' for object of type 'float'"},
      {"a{epoch", {}, v1::ERROR_REASON_TEMPLATE_VALUE, "expected '}' before end of string"},
      {"a{}",
       {},
       v1::ERROR_REASON_TEMPLATE_INDEX,
       "Replacement index 0 out of range for positional args tuple"},
      {"a{epoch[0]}", {}, v1::ERROR_REASON_TEMPLATE_TYPE, "'int' object is not subscriptable"},
      {"a{epoch.x}", {}, v1::ERROR_REASON_TEMPLATE_ATTRIBUTE, "'int' object has no attribute 'x'"},
      {"plain",
       {{"epoch", {.number = 1}}},
       v1::ERROR_REASON_TEMPLATE_TYPE,
       "str.format() got multiple values for keyword argument 'epoch'"},
  };
  for (const auto& c : cases) {
    const absl::Status status = Make(c.filepath, c.logs).status();
    EXPECT_EQ(ReasonOf(status), c.reason) << c.filepath;
    EXPECT_EQ(MessageOf(status),
              "Failed to format this callback filepath: \""s + c.filepath + "\". Reason: " + c.why);
  }
}

TEST(FileNameTest, PathIsNormalisedAndTextIsNot) {
  const struct {
    const char* text;
    const char* path;
  } cases[] = {
      {"a", "a"},       {"a/b", "a/b"},   {"a//b", "a/b"}, {"./a", "a"},
      {"a/./b", "a/b"}, {".//.//a", "a"}, {"...", "..."},  {"..a", "..a"},
      {"a..", "a.."},   {".a", ".a"},     {" ", " "},      {"é/→", "é/→"},
  };
  for (const auto& c : cases) {
    EXPECT_TRUE(CheckTemplate(c.text).ok()) << c.text;
    const auto name = Make(c.text);
    ASSERT_TRUE(name.ok()) << name.status();
    EXPECT_EQ(name->text, c.text);
    EXPECT_EQ(name->path, c.path);
  }
}

// Wrong whatever the values: refused by both.
TEST(FileNameTest, RefusesTemplatesThatCannotBeRight) {
  const struct {
    std::string filepath;
    v1::ErrorReason reason;
  } cases[] = {
      {"", v1::ERROR_REASON_PATH_ESCAPES},
      {"/etc/passwd", v1::ERROR_REASON_PATH_ESCAPES},
      {"/{epoch}", v1::ERROR_REASON_PATH_ESCAPES},
      {"//a", v1::ERROR_REASON_PATH_ESCAPES},
      {"..", v1::ERROR_REASON_PATH_ESCAPES},
      {"../a", v1::ERROR_REASON_PATH_ESCAPES},
      {"a/..", v1::ERROR_REASON_PATH_ESCAPES},
      {"a/../b", v1::ERROR_REASON_PATH_ESCAPES},
      {"{epoch}/../{epoch}", v1::ERROR_REASON_PATH_ESCAPES},
      {"a/", v1::ERROR_REASON_PATH_ESCAPES},
      {"{epoch}/", v1::ERROR_REASON_PATH_ESCAPES},
      {"{epoch}/.", v1::ERROR_REASON_PATH_ESCAPES},
      {".", v1::ERROR_REASON_PATH_ESCAPES},
      {".//", v1::ERROR_REASON_PATH_ESCAPES},
      {"a\0b"s, v1::ERROR_REASON_PATH_ESCAPES},
      {".ckptd-x", v1::ERROR_REASON_PATH_ESCAPES},
      {"a/.ckptd-{epoch}/b", v1::ERROR_REASON_PATH_ESCAPES},
      {std::string(256, 'a'), v1::ERROR_REASON_PATH_TOO_LONG},
      {"{epoch}" + std::string(256, 'a'), v1::ERROR_REASON_PATH_TOO_LONG},
      {"w{epoch:33d}", v1::ERROR_REASON_PATH_TOO_LONG},
      {"w{epoch:.21f}", v1::ERROR_REASON_PATH_TOO_LONG},
      {"w{epoch!r:>33}", v1::ERROR_REASON_PATH_TOO_LONG},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(ReasonOf(CheckTemplate(c.filepath)), c.reason) << c.filepath;
    EXPECT_EQ(ReasonOf(Make(c.filepath).status()), c.reason) << c.filepath;
  }
  std::string longest(255, 'a');
  longest += '/';
  EXPECT_TRUE(CheckTemplate(longest + longest + longest + std::string(255, 'a')).ok());
  EXPECT_EQ(ReasonOf(CheckTemplate(longest + longest + longest + longest + "a")),
            v1::ERROR_REASON_PATH_TOO_LONG);
}

TEST(FileNameTest, ErrorsNameTheField) {
  EXPECT_EQ(MessageOf(CheckTemplate("w{loss:9999999f}")),
            "filepath 'w{loss:9999999f}': field '{loss}' asks for width 9999999; the limit is 32");
}

// An error travels in messages whose text is UTF-8.
TEST(FileNameTest, ErrorsAreCutBetweenCharacters) {
  const std::string component = "1234567890abcdeé";
  EXPECT_EQ(MessageOf(CheckTemplate(component + std::string(256, 'a'))),
            "filepath '" + component + std::string(256, 'a') +
                "': '1234567890abcde…' is longer than 255 bytes");
}

// Right for some values: accepted as a template, refused when the name comes out wrong.
TEST(FileNameTest, RefusesNamesThatComeOutWrong) {
  const Logs logs = {{"slash", {47, true, 47}}, {"dot", {46, true, 46}},  {"nul", {0, true, 0}},
                     {"wide", {40, true, 40}},  {"x", {.number = 1e300}}, {"y", {.number = 1e200}}};
  const struct {
    std::string filepath;
    v1::ErrorReason reason;
  } cases[] = {
      {"{slash:c}etc", v1::ERROR_REASON_PATH_ESCAPES},
      {"{epoch:/>4}", v1::ERROR_REASON_PATH_ESCAPES},
      {"{epoch:/<4}", v1::ERROR_REASON_PATH_ESCAPES},
      {"a/.{dot:c}/b", v1::ERROR_REASON_PATH_ESCAPES},
      {"a/{dot:c}{dot:c}", v1::ERROR_REASON_PATH_ESCAPES},
      {"{epoch!s:.0}", v1::ERROR_REASON_PATH_ESCAPES},
      {"a/{dot:c}", v1::ERROR_REASON_PATH_ESCAPES},
      {"{dot:c}ckptd-1", v1::ERROR_REASON_PATH_ESCAPES},
      {"a{nul:c}", v1::ERROR_REASON_PATH_ESCAPES},
      {"w{epoch:{wide}d}", v1::ERROR_REASON_PATH_TOO_LONG},
      {"{x:f}", v1::ERROR_REASON_PATH_TOO_LONG},
      // Components of 201 bytes, 1,206 in all.
      {"{y:.0f}/{y:.0f}/{y:.0f}/{y:.0f}/{y:.0f}/{y:.0f}", v1::ERROR_REASON_PATH_TOO_LONG},
  };
  for (const auto& c : cases) {
    EXPECT_TRUE(CheckTemplate(c.filepath).ok()) << c.filepath;
    EXPECT_EQ(ReasonOf(Make(c.filepath, logs).status()), c.reason) << c.filepath;
  }
}

TEST(FileNameTest, MalformedTemplatesAreLeftToFormatting) {
  for (const char* filepath : {"bad{epoch:02d", "/{", "{}", "a}", "{x!q}", "{x:qq}"}) {
    EXPECT_TRUE(CheckTemplate(filepath).ok()) << filepath;
  }
}

// Whatever the template: the name stays below the folder, or there is none. And what comes out
// right has passed the check of the template.
TEST(FileNameTest, RandomTemplatesNeverLeaveTheFolder) {
  const std::string_view pieces[] = {
      "{loss:", "{epoch:02d}", "{",   "}", "{{", "}}", "loss", "epoch", ":", "!r", ".", "..",  "/",
      "./",     "../",         "[0]", "0", "33", "<",  "=",    "c",     "f", ",",  "é", "\xff"};
  const Logs logs = {{"loss", {.number = 0.5}}};
  std::mt19937_64 random(29);
  int made = 0;
  for (int i = 0; i < 50'000; ++i) {
    std::string filepath;
    for (auto left = 1 + random() % 10; left > 0; --left) {
      filepath += pieces[random() % std::size(pieces)];
    }
    const auto name = MakeFileName(filepath, static_cast<int64_t>(random() % 300), 7, logs);
    if (!name.ok()) {
      ASSERT_NE(ReasonOf(name.status()), v1::ERROR_REASON_UNSPECIFIED) << filepath;
      continue;
    }
    ++made;
    ASSERT_TRUE(CheckTemplate(filepath).ok()) << filepath;
    const std::string around = "/" + name->path + "/";
    for (const char* forbidden : {"//", "/./", "/../"}) {
      ASSERT_EQ(around.find(forbidden), around.npos) << filepath << " made " << name->path;
    }
  }
  EXPECT_GT(made, 10'000);
}

}  // namespace
}  // namespace ckpt::policy
