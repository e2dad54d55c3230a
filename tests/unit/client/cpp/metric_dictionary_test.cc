#include "client/cpp/src/metric_dictionary.h"

#include <gtest/gtest.h>

#include <limits>

#include "storage/base/errors.h"

namespace ckpt::client {
namespace {

v1::Limits SomeLimits() {
  v1::Limits limits;
  limits.set_max_metrics_per_event(3);
  limits.set_max_metric_name_bytes(8);
  return limits;
}

absl::Status Encode(MetricDictionary& dictionary, std::vector<Metric> logs, v1::Event* event) {
  return dictionary.Encode(logs, SomeLimits(), event);
}

TEST(MetricDictionaryTest, NamesKeepTheirNumbers) {
  MetricDictionary dictionary;
  v1::Event first;
  v1::Event second;
  ASSERT_TRUE(Encode(dictionary, {{"loss", 0.5}, {"val/loss", 0.25}}, &first).ok());
  ASSERT_TRUE(Encode(dictionary, {{"val/loss", 0.125}, {"lr", 1e-3}}, &second).ok());
  EXPECT_EQ(dictionary.names(), (std::vector<std::string>{"loss", "val/loss", "lr"}));
  EXPECT_EQ(first.metric_ids(1), second.metric_ids(0));
  EXPECT_EQ(second.values(0), 0.125);
}

TEST(MetricDictionaryTest, WholeNumbersStayWhole) {
  MetricDictionary dictionary;
  v1::Event event;
  const int64_t big = std::numeric_limits<int64_t>::max();
  ASSERT_TRUE(Encode(dictionary, {{"steps", big}, {"loss", 1.0f}}, &event).ok());
  ASSERT_EQ(event.integers_size(), 1);
  EXPECT_EQ(event.integers(0), big);
  ASSERT_EQ(event.values_size(), 1);
  EXPECT_EQ(event.values(0), 1.0);
}

struct Refusal {
  const char* what;
  std::vector<Metric> logs;
  v1::ErrorReason reason;
};

TEST(MetricDictionaryTest, RefusesWhatTheDaemonWouldRefuse) {
  const std::vector<Refusal> refusals = {
      {"empty name", {{"", 1.0}}, v1::ERROR_REASON_FIELD_INVALID},
      {"control character", {{"a\nb", 1.0}}, v1::ERROR_REASON_FIELD_INVALID},
      {"not UTF-8", {{"a\xff", 1.0}}, v1::ERROR_REASON_FIELD_INVALID},
      {"given twice", {{"a", 1.0}, {"a", 2}}, v1::ERROR_REASON_FIELD_INVALID},
      {"too long", {{"123456789", 1.0}}, v1::ERROR_REASON_LIMIT_EXCEEDED},
      {"too many",
       {{"a", 1.0}, {"b", 1.0}, {"c", 1.0}, {"d", 1.0}},
       v1::ERROR_REASON_LIMIT_EXCEEDED},
  };
  for (const Refusal& refusal : refusals) {
    MetricDictionary dictionary;
    v1::Event event;
    EXPECT_EQ(ReasonOf(Encode(dictionary, refusal.logs, &event)), refusal.reason) << refusal.what;
  }
}

TEST(MetricDictionaryTest, ANameRefusedOnceIsFineInTheNextEvent) {
  MetricDictionary dictionary;
  v1::Event event;
  ASSERT_FALSE(Encode(dictionary, {{"a", 1.0}, {"a", 1.0}}, &event).ok());
  v1::Event next;
  EXPECT_TRUE(Encode(dictionary, {{"a", 1.0}}, &next).ok());
}

TEST(IsPrintableUtf8Test, Table) {
  for (const char* good : {"loss", "val/loss", "größe", "损失", "\xF0\x9F\x8E\x89", "a b"}) {
    EXPECT_TRUE(IsPrintableUtf8(good)) << good;
  }
  for (const char* bad :
       {"\x01", "\x7f", "\xC2\x80", "\xC2\x9F", "\x80", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80",
        "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF5", "\xE6\x8D", "\xC3"}) {
    EXPECT_FALSE(IsPrintableUtf8(bad)) << ::testing::PrintToString(std::string(bad));
  }
  EXPECT_TRUE(IsPrintableUtf8("\xC2\xA0"));
}

}  // namespace
}  // namespace ckpt::client
