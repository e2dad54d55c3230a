#include "storage/base/chunk_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace ckpt {
namespace {

using testing::ElementsAre;

constexpr int kField = v1::DownloadResponse::kChunkFieldNumber;

v1::DownloadResponse Response(int64_t offset, uint32_t crc32c, const std::string& data) {
  v1::DownloadResponse response;
  response.mutable_chunk()->set_offset(offset);
  response.mutable_chunk()->set_crc32c(crc32c);
  response.mutable_chunk()->set_data(data);
  return response;
}

std::vector<std::string_view> Cut(std::string_view text, size_t piece) {
  std::vector<std::string_view> pieces;
  for (size_t at = 0; at < text.size(); at += piece) pieces.push_back(text.substr(at, piece));
  return pieces;
}

std::string Joined(const std::vector<std::string_view>& pieces) {
  std::string text;
  for (const std::string_view piece : pieces) text += piece;
  return text;
}

TEST(ChunkMessageTest, IsWhatProtobufWritesAndReads) {
  for (const auto& response :
       {Response(0, 0, "x"), Response(0, 7, "abc"), Response(1, 0, std::string(127, 'a')),
        Response(int64_t{1} << 40, 0xdeadbeef, std::string(100'000, 'b')), Response(-1, 1, "z")}) {
    SCOPED_TRACE(response.chunk().offset());
    v1::UploadChunk chunk = response.chunk();
    chunk.clear_data();
    const std::string& data = response.chunk().data();
    const std::string text = ChunkHeader(kField, chunk, data.size()) + data;
    EXPECT_EQ(text, response.SerializeAsString());
    for (const size_t piece : {1, 2, 3, 7, 64, 1000, 1'000'000}) {
      std::vector<std::string_view> pieces = Cut(text, piece);
      v1::UploadChunk taken;
      ASSERT_TRUE(TakeChunkHeader(kField, pieces, taken)) << piece;
      EXPECT_EQ(taken.SerializeAsString(), chunk.SerializeAsString());
      EXPECT_EQ(Joined(pieces), data);
    }
  }
}

TEST(ChunkMessageTest, LeavesTheBytesWhereTheyAre) {
  const std::string text = Response(3, 4, "0123456789").SerializeAsString();
  std::vector<std::string_view> pieces = Cut(text, text.size() - 5);
  const char* const last = pieces.back().data();
  v1::UploadChunk chunk;
  ASSERT_TRUE(TakeChunkHeader(kField, pieces, chunk));
  EXPECT_THAT(pieces, ElementsAre("01234", "56789"));
  EXPECT_EQ(pieces.back().data(), last);
}

// Protobuf reads it, in its own way.
TEST(ChunkMessageTest, LeavesEverythingElseAlone) {
  v1::DownloadResponse header;
  header.mutable_header()->mutable_part()->set_part("weights");
  v1::UploadRequest of_another_field;
  *of_another_field.mutable_chunk() = Response(1, 2, "abc").chunk();
  const std::string good = Response(5, 6, "abc").SerializeAsString();
  for (const std::string& text :
       {std::string(), header.SerializeAsString(), of_another_field.SerializeAsString(),
        good + good, good + "x", good.substr(0, good.size() - 1), good.substr(0, 3)}) {
    std::vector<std::string_view> pieces = Cut(text, 4);
    v1::UploadChunk chunk;
    chunk.set_offset(17);
    EXPECT_FALSE(TakeChunkHeader(kField, pieces, chunk)) << testing::PrintToString(text);
    EXPECT_EQ(Joined(pieces), text);
    EXPECT_EQ(chunk.offset(), 17);
  }
}

TEST(ChunkMessageTest, NeverTakesWhatProtobufReadsOtherwise) {
  std::mt19937 random(7);
  const std::string good = Response(300, 77, "some bytes").SerializeAsString();
  for (int i = 0; i < 20'000; ++i) {
    std::string text = good;
    for (int changes = 1 + static_cast<int>(random() % 3); changes > 0; --changes) {
      text[random() % text.size()] = static_cast<char>(random());
    }
    std::vector<std::string_view> pieces = Cut(text, 1 + random() % 9);
    v1::UploadChunk chunk;
    if (!TakeChunkHeader(kField, pieces, chunk)) continue;
    v1::DownloadResponse expected;
    ASSERT_TRUE(expected.ParseFromString(text)) << testing::PrintToString(text);
    EXPECT_EQ(chunk.offset(), expected.chunk().offset());
    EXPECT_EQ(chunk.crc32c(), expected.chunk().crc32c());
    EXPECT_EQ(Joined(pieces), expected.chunk().data());
  }
}

}  // namespace
}  // namespace ckpt
