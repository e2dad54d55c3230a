#include "server/policy/save_freq.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "storage/base/errors.h"

namespace ckpt::policy {
namespace {

google::protobuf::Value FromJson(const std::string& json) {
  google::protobuf::Value value;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json, &value).ok()) << json;
  return value;
}

TEST(SaveFreqTest, EpochIsTheDefault) {
  EXPECT_TRUE(ParseSaveFreq("p", {})->every_epoch);
  EXPECT_TRUE(ParseSaveFreq("p", FromJson("null"))->every_epoch);
  EXPECT_TRUE(ParseSaveFreq("p", FromJson("\"epoch\""))->every_epoch);
}

TEST(SaveFreqTest, NumbersAndBooleansAreBatches) {
  const struct {
    const char* json;
    int64_t want;
  } cases[] = {
      {"1", 1},
      {"1000", 1000},
      {"0", 1},
      {"-5", 1},
      {"true", 1},
      {"false", 1},
      {"1e18", 1'000'000'000'000'000'000},
      {"1e300", std::numeric_limits<int64_t>::max()},
      {"-1e300", 1},
  };
  for (const auto& c : cases) {
    const auto freq = ParseSaveFreq("p", FromJson(c.json));
    ASSERT_TRUE(freq.ok()) << freq.status();
    EXPECT_FALSE(freq->every_epoch) << c.json;
    EXPECT_EQ(freq->every_n_batches, c.want) << c.json;
  }
}

TEST(SaveFreqTest, RefusesTheRestInPythonsWords) {
  const struct {
    const char* json;
    const char* shown;
  } cases[] = {
      {"\"weekly\"", "weekly"},
      {"\"\"", ""},
      {"\"5\"", "5"},
      {"2.5", "2.5"},
      {"[1, \"a\", null, true, 0.5]", "[1, 'a', None, True, 0.5]"},
      {"{\"b\": [], \"a\": {}}", "{'a': {}, 'b': []}"},
  };
  for (const auto& c : cases) {
    const absl::Status status = ParseSaveFreq("p", FromJson(c.json)).status();
    EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_SAVE_FREQ_INVALID) << c.json;
    EXPECT_EQ(MessageOf(status), "Unrecognized save_freq: " + std::string(c.shown) +
                                     ". Expected save_freq are \"epoch\" or integer");
    EXPECT_EQ(MetadataOf(status).at("policy"), "p");
  }
  google::protobuf::Value nan;
  nan.set_number_value(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(MetadataOf(ParseSaveFreq("p", nan).status()).at("value"), "nan");
}

TEST(SaveFreqTest, ErrorsStaySmall) {
  google::protobuf::Value value;
  value.set_string_value(std::string(1 << 20, 'x'));
  EXPECT_LT(MessageOf(ParseSaveFreq("p", value).status()).size(), 256);
}

}  // namespace
}  // namespace ckpt::policy
