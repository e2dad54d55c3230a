#include "server/rpc/upload_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

// `text` in slices of `piece` bytes.
grpc::ByteBuffer Buffer(const std::string& text, size_t piece) {
  std::vector<grpc::Slice> slices;
  for (size_t at = 0; at < text.size(); at += piece) slices.emplace_back(text.substr(at, piece));
  return {slices.data(), slices.size()};
}

v1::UploadRequest Chunk(int64_t offset, const std::string& data) {
  v1::UploadRequest request;
  request.mutable_chunk()->set_offset(offset);
  request.mutable_chunk()->set_crc32c(0xdeadbeef);
  request.mutable_chunk()->set_data(data);
  return request;
}

std::string Data(const UploadMessage& message) {
  std::string data;
  for (const std::string_view piece : message.data()) data += piece;
  return data;
}

// The message as protobuf reads it.
void ExpectSame(const UploadMessage& message, const v1::UploadRequest& expected) {
  v1::UploadRequest whole = message.request();
  EXPECT_EQ(whole.chunk().data(), "");
  if (const std::string data = Data(message); !data.empty()) {
    whole.mutable_chunk()->set_data(data);
  }
  EXPECT_EQ(whole.SerializeAsString(), expected.SerializeAsString());
}

TEST(UploadMessage, ReadsWhatProtobufWrites) {
  v1::UploadRequest start;
  start.mutable_start()->set_save("runs/r/checkpoints/1");
  v1::UploadRequest finish;
  finish.mutable_finish()->set_size(17);
  v1::UploadRequest no_bytes;
  no_bytes.mutable_chunk();
  for (const v1::UploadRequest& request :
       {start, finish, no_bytes, v1::UploadRequest(), Chunk(0, "x"), Chunk(5, ""),
        Chunk(int64_t{1} << 40, std::string(100'000, 'y')), Chunk(-1, "z")}) {
    for (const size_t piece : {1, 2, 3, 7, 64, 1000, 1'000'000}) {
      SCOPED_TRACE(testing::Message() << request.ShortDebugString().substr(0, 60) << piece);
      const auto message = UploadMessage::Parse(Buffer(request.SerializeAsString(), piece));
      ASSERT_TRUE(message.ok()) << message.status();
      ExpectSame(*message, request);
      EXPECT_LE(message->data().size(), 1024u);
    }
  }
}

TEST(UploadMessage, LeavesTheBytesWhereTheyAre) {
  const std::string text = Chunk(3, std::string(5000, 'x')).SerializeAsString();
  const grpc::ByteBuffer buffer = Buffer(text, 1000);
  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(buffer.Dump(&slices).ok());
  const auto message = UploadMessage::Parse(buffer);
  ASSERT_TRUE(message.ok());
  ASSERT_EQ(message->data().size(), 6u);
  EXPECT_EQ(static_cast<const void*>(message->data()[1].data()), slices[1].begin());
}

// Other ways to write the same down, which protobuf allows.
TEST(UploadMessage, ReadsWhatIsWrittenInAnotherOrder) {
  const std::string data = "\x7a\x03xyz";
  const std::string offset = "\x08\x05";
  for (const std::string& fields : {data + offset, offset + data + "\x7a\x01w",
                                    offset + data + "\x20\x01", offset + offset + data}) {
    SCOPED_TRACE(testing::PrintToString(fields));
    const std::string text = "\x1a" + std::string(1, static_cast<char>(fields.size())) + fields;
    v1::UploadRequest expected;
    ASSERT_TRUE(expected.ParseFromString(text));
    const auto message = UploadMessage::Parse(Buffer(text, 4));
    ASSERT_TRUE(message.ok());
    EXPECT_EQ(message->request().chunk().offset(), expected.chunk().offset());
    EXPECT_EQ(Data(*message), expected.chunk().data());
  }
}

TEST(UploadMessage, TakesWhatProtobufTakesAndNothingElse) {
  std::mt19937 random(7);
  const std::string good = Chunk(300, "some bytes").SerializeAsString();
  for (int i = 0; i < 20'000; ++i) {
    std::string text = good;
    for (int changes = 1 + static_cast<int>(random() % 3); changes > 0; --changes) {
      text[random() % text.size()] = static_cast<char>(random());
    }
    if (random() % 4 == 0) text.resize(random() % text.size());
    v1::UploadRequest expected;
    const bool valid = expected.ParseFromString(text);
    const auto message = UploadMessage::Parse(Buffer(text, 1 + random() % 9));
    ASSERT_EQ(message.ok(), valid) << testing::PrintToString(text);
    if (!valid) {
      EXPECT_EQ(ReasonOf(message.status()), v1::ERROR_REASON_PROTOCOL);
    } else {
      EXPECT_EQ(message->request().message_case(), expected.message_case());
      EXPECT_EQ(message->request().chunk().offset(), expected.chunk().offset());
      EXPECT_EQ(message->request().chunk().crc32c(), expected.chunk().crc32c());
      EXPECT_EQ(Data(*message), expected.chunk().data());
    }
  }
}

}  // namespace
}  // namespace ckpt::server
