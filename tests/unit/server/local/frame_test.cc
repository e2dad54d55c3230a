#include "server/local/frame.h"

#include <gtest/gtest.h>

#include <string>

#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

std::string Frame(const v1::LocalRequest& request) {
  const std::string body = request.SerializeAsString();
  return std::string{static_cast<char>(body.size()), static_cast<char>(body.size() >> 8), 0, 0} +
         body;
}

v1::LocalRequest Request(uint64_t id) {
  v1::LocalRequest request;
  request.set_id(id);
  request.mutable_hello()->set_client(std::string(300, 'c'));
  return request;
}

TEST(FrameReaderTest, FindsFramesHoweverTheyCome) {
  const std::string bytes = Frame(Request(1)) + Frame(Request(2));
  for (size_t step = 1; step <= bytes.size(); ++step) {
    FrameReader reader;
    std::vector<uint64_t> ids;
    for (size_t at = 0; at < bytes.size(); at += step) {
      reader.Feed(std::string_view(bytes).substr(at, step));
      for (auto next = reader.Next(); next.ok() && next->has_value(); next = reader.Next()) {
        ids.push_back((*next)->id());
        EXPECT_EQ((*next)->SerializeAsString(), Request(ids.back()).SerializeAsString());
      }
    }
    EXPECT_EQ(ids, (std::vector<uint64_t>{1, 2})) << step;
    EXPECT_TRUE(reader.AtBoundary());
  }
}

TEST(FrameReaderTest, APartOfAFrameIsNone) {
  const std::string bytes = Frame(Request(1));
  FrameReader reader;
  reader.Feed(std::string_view(bytes).substr(0, bytes.size() - 1));
  const auto next = reader.Next();
  ASSERT_TRUE(next.ok());
  EXPECT_FALSE(next->has_value());
  EXPECT_FALSE(reader.AtBoundary());
}

TEST(FrameReaderTest, SaysWhatIsMissing) {
  const std::string bytes = Frame(Request(1));
  FrameReader reader;
  EXPECT_EQ(reader.Missing(), 4u);
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i > 4) {
      EXPECT_EQ(reader.Missing(), bytes.size() - i);
    }
    reader.Feed(bytes.substr(i, 1));
  }
}

TEST(FrameReaderTest, RefusesWhatIsNone) {
  const std::string cases[] = {
      std::string("\x01\x00\x01\x00", 4),         // 64 KiB and one
      std::string("\xff\xff\xff\xff", 4),         // 4 GiB
      std::string("\x01\x00\x00\x00\xff", 5),     // no message
      std::string("\x02\x00\x00\x00\x0a\x7f", 6)  // a field that ends beyond it
  };
  for (const std::string& bytes : cases) {
    FrameReader reader;
    reader.Feed(bytes);
    EXPECT_EQ(ReasonOf(reader.Next().status()), v1::ERROR_REASON_PROTOCOL);
  }
}

TEST(EncodeFrameTest, IsLengthAndMessage) {
  v1::LocalResponse response;
  response.set_id(7);
  EXPECT_EQ(EncodeFrame(response), std::string("\x02\x00\x00\x00\x08\x07", 6));
}

}  // namespace
}  // namespace ckpt::server
