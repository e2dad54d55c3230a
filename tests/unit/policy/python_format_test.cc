#include "server/policy/python_format.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "storage/base/errors.h"
#include "tests/conformance/json_lines.h"

namespace ckpt::policy {
namespace {

absl::StatusOr<std::string> Format(std::string_view text, const Logs& logs) {
  return PythonFormat(text, [&](std::string_view name) {
    const auto found = logs.find(name);
    return found == logs.end() ? nullptr : &found->second;
  });
}

Logs LogsFrom(const nlohmann::json& values) {
  Logs logs;
  for (const conformance::Metric& metric : conformance::MetricsFrom(values)) {
    logs[metric.name] = {metric.number, metric.integer.has_value(), metric.integer.value_or(0)};
  }
  return logs;
}

v1::ErrorReason ReasonFor(const std::string& exception) {
  static const std::map<std::string, v1::ErrorReason> kReasons = {
      {"KeyError", v1::ERROR_REASON_TEMPLATE_KEY},
      {"ValueError", v1::ERROR_REASON_TEMPLATE_VALUE},
      {"OverflowError", v1::ERROR_REASON_TEMPLATE_VALUE},
      {"IndexError", v1::ERROR_REASON_TEMPLATE_INDEX},
      {"TypeError", v1::ERROR_REASON_TEMPLATE_TYPE},
      {"AttributeError", v1::ERROR_REASON_TEMPLATE_ATTRIBUTE},
  };
  return kReasons.at(exception);
}

// Recorded by make_python_format_vectors.py.
TEST(PythonFormatTest, AgreesWithPython) {
  for (const nlohmann::json& vector : conformance::ReadJsonLines(CKPT_PYTHON_FORMAT_VECTORS)) {
    const auto result = Format(vector.at("t").get<std::string>(), LogsFrom(vector.at("v")));
    if (vector.contains("out")) {
      ASSERT_TRUE(result.ok()) << vector << "\n" << MessageOf(result.status());
      ASSERT_EQ(*result, vector.at("out").get<std::string>()) << vector;
    } else {
      ASSERT_FALSE(result.ok()) << vector << "\n" << *result;
      ASSERT_EQ(ReasonOf(result.status()), ReasonFor(vector.at("err"))) << vector;
      ASSERT_EQ(MessageOf(result.status()), vector.at("msg").get<std::string>()) << vector;
    }
  }
}

TEST(PythonFormatTest, RoundsTheExactBinaryValue) {
  EXPECT_EQ(*Format("{x:.2f}", {{"x", {.number = 0.125}}}), "0.12");
  EXPECT_EQ(*Format("{x:.2f}", {{"x", {.number = 2.675}}}), "2.67");
  EXPECT_EQ(*Format("{x:.2f}", {{"x", {.number = -0.0}}}), "-0.00");
}

TEST(PythonFormatTest, LimitsNameTheField) {
  const Logs logs = {{"loss", {.number = 1}}, {"n", {33, true, 33}}, {"m", {21, true, 21}}};
  const char* const kTooWide[] = {
      "{loss:33}",   "{loss:>1000000000f}", "{loss:99999999999999999999}",
      "{loss!r:33}", "{loss:{n}}",          "{loss:033}"};
  for (const char* text : kTooWide) {
    const absl::Status status = Format(text, logs).status();
    EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_PATH_TOO_LONG) << text;
    EXPECT_TRUE(MessageOf(status).starts_with("field '{loss}' asks for width")) << status;
  }
  for (const char* text : {"{loss:.21f}", "{loss:.{m}f}", "{loss!s:.21}"}) {
    const absl::Status status = Format(text, logs).status();
    EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_PATH_TOO_LONG) << text;
    EXPECT_TRUE(MessageOf(status).starts_with("field '{loss}' asks for precision")) << status;
  }
  EXPECT_EQ(Format("{loss:32.20f}", logs)->size(), 32);
}

// The template text itself never reaches a format function of C or C++.
TEST(PythonFormatTest, ForeignFormatSyntaxIsText) {
  EXPECT_EQ(*Format("%s%n%d {{:d}} %1000000d", {}), "%s%n%d {:d} %1000000d");
}

TEST(PythonFormatTest, BytesThatAreNotUtf8DoNoHarm) {
  const Logs logs = {{"x", {.number = 1}}};
  EXPECT_EQ(*Format("\xff\xc3{x:\xff>5}", logs), "\xff\xc3\uFFFD\uFFFD1.0");
  EXPECT_EQ(ReasonOf(Format("{x!\xe2\x82}", logs).status()), v1::ERROR_REASON_TEMPLATE_VALUE);
  EXPECT_EQ(ReasonOf(Format("{x:\xf0}", logs).status()), v1::ERROR_REASON_TEMPLATE_VALUE);
}

// Every prefix of a template, every byte of it replaced by every special character: no crash, and
// either a text or one of the reference's exceptions.
TEST(PythonFormatTest, DamagedTemplatesNeverCrash) {
  const Logs logs = {{"loss", {.number = 0.5}}, {"epoch", {7, true, 7}}};
  const std::string whole = "w{{}}-{loss.real!r:*>{epoch}.3s}/{epoch:#06_x}-{loss:+,.2f}";
  ASSERT_TRUE(Format(whole, logs).ok());
  const auto check = [&](const std::string& text) {
    const auto result = Format(text, logs);
    EXPECT_EQ(result.ok(), ReasonOf(result.status()) == v1::ERROR_REASON_UNSPECIFIED) << text;
  };
  for (size_t i = 0; i < whole.size(); ++i) {
    check(whole.substr(0, i));
    check(whole.substr(i));
    for (const char c : std::string_view("{}[]:!.0=<\0\xff\xe2", 13)) {
      std::string damaged = whole;
      damaged[i] = c;
      check(damaged);
    }
  }
}

}  // namespace
}  // namespace ckpt::policy
