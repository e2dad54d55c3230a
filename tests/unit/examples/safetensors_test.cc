#include "client/examples/train_digits/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace ckpt::examples {
namespace {

using ::testing::HasSubstr;

// A file of this header, padded as given, and this much data.
std::string File(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + header +
         std::string(data_bytes, '\0');
}

SafeTensors Example() {
  return {.metadata = {{"epoch", "3"}, {"note", "quote \" and \xc3\xa9"}},
          .tensors = {{"a", {.shape = {2, 3}, .values = {1, 2, 3, 4, 5, 6}}},
                      {"b", {.shape = {}, .values = {0.5F}}},
                      {"empty", {.shape = {0, 7}, .values = {}}}}};
}

TEST(SafeTensors, WritesTheFormatByteForByte) {
  const SafeTensors content = {.metadata = {{"k", "v"}},
                               .tensors = {{"w", {.shape = {2}, .values = {1.0F, -2.0F}}}}};
  std::string header =
      R"({"__metadata__":{"k":"v"},"w":{"data_offsets":[0,8],"dtype":"F32","shape":[2]}})";
  header.resize(80, ' ');
  EXPECT_EQ(EncodeSafeTensors(content), std::string("\x50\0\0\0\0\0\0\0", 8) + header +
                                            std::string("\x00\x00\x80\x3f\x00\x00\x00\xc0", 8));
}

TEST(SafeTensors, ReadsBackWhatItWrote) {
  const auto decoded = DecodeSafeTensors(EncodeSafeTensors(Example()));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->metadata, Example().metadata);
  ASSERT_EQ(decoded->tensors.size(), 3U);
  for (const auto& [name, tensor] : Example().tensors) {
    EXPECT_EQ(decoded->tensors.at(name).shape, tensor.shape) << name;
    EXPECT_EQ(decoded->tensors.at(name).values, tensor.values) << name;
  }
}

TEST(SafeTensors, KeepsEveryBitOfUnusualNumbers) {
  const float inf = std::numeric_limits<float>::infinity();
  const SafeTensors content = {
      .metadata = {}, .tensors = {{"w", {.shape = {4}, .values = {NAN, -inf, -0.0F, 1e-45F}}}}};
  const std::string file = EncodeSafeTensors(content);
  const auto decoded = DecodeSafeTensors(file);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(EncodeSafeTensors(*decoded), file);
}

TEST(SafeTensors, AlignsTheData) {
  for (size_t length = 0; length < 16; ++length) {
    const SafeTensors content = {.metadata = {{"k", std::string(length, 'x')}}, .tensors = {}};
    EXPECT_EQ(EncodeSafeTensors(content).size() % 8, 0U) << length;
  }
}

TEST(SafeTensors, ReadsTensorsInAnyOrder) {
  const auto decoded =
      DecodeSafeTensors(File(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},)"
                             R"("b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}   )",
                             12));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->tensors.at("b").values.size(), 2U);
}

TEST(SafeTensors, RefusesWhatIsNotOne) {
  const std::string deep(500'000, '[');
  const struct {
    std::string file;
    std::string message;
  } kCases[] = {
      {"", "only 0 bytes"},
      {"1234567", "only 7 bytes"},
      {std::string(8, '\xff'), "a header of 18446744073709551615 bytes"},
      {std::string("\x09\0\0\0\0\0\0\0{}      ", 16), "a header of 9 bytes"},
      {File(std::string(2 << 20, ' '), 0), "a header of 2097152 bytes"},
      {File("", 0), "no JSON object"},
      {File("[]", 0), "no JSON object"},
      {File("{\"a\":", 0), "no JSON object"},
      {File("{} {}", 0), "no JSON object"},
      {File("{\"\xff\":{}}", 0), "no JSON object"},
      {File(deep, 0), "no JSON object"},
      {File(R"({"__metadata__":[]})", 0), "the metadata is no object"},
      {File(R"({"__metadata__":{"k":1}})", 0), "metadata 'k' is no text"},
      {File(R"({"w":7})", 0), "tensor 'w': no object"},
      {File(R"({"w":{}})", 0), "tensor 'w': 'data_offsets' is no pair of offsets"},
      {File(R"({"w":{"data_offsets":[0]}})", 0), "'data_offsets' is no pair"},
      {File(R"({"w":{"data_offsets":[-4,0]}})", 0), "'data_offsets' is no pair"},
      {File(R"({"w":{"data_offsets":[0.0,4.0]}})", 4), "'data_offsets' is no pair"},
      {File(R"({"w":{"data_offsets":[0,18446744073709551615]}})", 4), "'data_offsets' is no pair"},
      {File(R"({"w":{"data_offsets":[4,0]}})", 4), "tensor 'w': bytes 4 to 0 of 4 bytes"},
      {File(R"({"w":{"data_offsets":[0,8]}})", 4), "tensor 'w': bytes 0 to 8 of 4 bytes"},
      {File(R"({"w":{"data_offsets":[0,4]}})", 4), "'dtype' is not F32"},
      {File(R"({"w":{"data_offsets":[0,4],"dtype":"I32"}})", 4), "'dtype' is not F32"},
      {File(R"({"w":{"data_offsets":[0,4],"dtype":"F32"}})", 4), "'shape' is no list of sizes"},
      {File(R"({"w":{"data_offsets":[0,4],"dtype":"F32","shape":[-1]}})", 4), "'shape' is no list"},
      {File(R"({"w":{"data_offsets":[0,4],"dtype":"F32","shape":[2]}})", 4),
       "tensor 'w': shape [2] does not take 4 bytes"},
      {File(R"({"w":{"data_offsets":[0,4],"dtype":"F32","shape":[4611686018427387905]}})", 4),
       "shape [4611686018427387905] does not take 4 bytes"},
      {File(R"({"w":{"data_offsets":[0,4],"dtype":"F32","shape":[]}})", 8), "4 bytes too many"},
      {File(R"({"w":{"data_offsets":[4,8],"dtype":"F32","shape":[]}})", 8), "gap or overlap"},
      {File(R"({"v":{"data_offsets":[0,4],"dtype":"F32","shape":[]},)"
            R"("w":{"data_offsets":[0,4],"dtype":"F32","shape":[]}})",
            4),
       "gap or overlap at byte 4"},
      {File(R"({"w":{"data_offsets":[0,4],"dtype":"F32","shape":[]},)"
            R"("w":{"data_offsets":[4,8],"dtype":"F32","shape":[]}})",
            8),
       "gap or overlap at byte 0"},
  };
  for (const auto& test_case : kCases) {
    const auto decoded = DecodeSafeTensors(test_case.file);
    EXPECT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument) << test_case.message;
    EXPECT_THAT(std::string(decoded.status().message()), HasSubstr(test_case.message));
  }
}

// JSON that is fine but for its depth must not overflow the stack either.
TEST(SafeTensors, RefusesDeepNesting) {
  const std::string deep = std::string(400'000, '[') + std::string(400'000, ']');
  for (const char* key : {"dtype", "shape", "data_offsets"}) {
    std::string description = R"("data_offsets":[0,4],"dtype":"F32","shape":[],")";
    description += key + std::string("\":") + deep;
    const auto decoded = DecodeSafeTensors(File("{\"w\":{" + description + "}}", 4));
    EXPECT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument) << key;
  }
}

TEST(SafeTensors, EveryTruncationIsRefused) {
  const std::string file = EncodeSafeTensors(Example());
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_FALSE(DecodeSafeTensors(std::string_view(file).substr(0, size)).ok()) << size;
  }
}

}  // namespace
}  // namespace ckpt::examples
