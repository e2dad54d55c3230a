#include "storage/base/digest.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ckpt {
namespace {

TEST(Crc32cTest, MatchesKnownVectors) {
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);    // RFC 3720, B.4
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62A8AB43u);  // RFC 3720, B.4
}

TEST(Crc32cTest, ContinuesOverPieces) {
  const std::string text = "123456789";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(Crc32c(text.substr(cut), Crc32c(text.substr(0, cut))), 0xE3069283u) << cut;
  }
}

TEST(HexTest, PrintsLowerCase) {
  EXPECT_EQ(Hex(""), "");
  EXPECT_EQ(Hex(std::string("\x00\x7f\x80\xff", 4)), "007f80ff");
}

TEST(BlockDigestTest, MatchesKnownVectorOfXxh3) {
  EXPECT_EQ(Hex(BlockDigest("")), "2d06800538d394c2");
}

TEST(StreamDigestTest, MatchesKnownVectorOfXxh3OfNothing) {
  const StreamDigest digest;
  EXPECT_EQ(Hex(digest.Whole()), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(digest.Blocks(), "");
  EXPECT_EQ(digest.size(), 0);
}

std::string Content(int64_t size) {
  std::string content(static_cast<size_t>(size), '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 31 + i / 251);
  return content;
}

TEST(WholeDigestTest, IsThatOfTheStream) {
  const std::string content = Content(kDigestBlockBytes + 1000);
  StreamDigest stream;
  stream.Update(content);
  for (const size_t piece : {size_t{4093}, size_t{1} << 20, content.size()}) {
    WholeDigest digest;
    for (size_t i = 0; i < content.size(); i += piece) {
      digest.Update(std::string_view(content).substr(i, piece));
    }
    EXPECT_EQ(digest.Whole(), stream.Whole()) << piece;
    EXPECT_EQ(digest.size(), stream.size());
  }
  EXPECT_EQ(Hex(WholeDigest().Whole()), "99aa06d3014798d86001c324468d497f");
}

TEST(StreamDigestTest, DoesNotDependOnThePieces) {
  const std::string content = Content(2 * kDigestBlockBytes + 1000);
  StreamDigest whole;
  whole.Update(content);
  for (const size_t piece : {size_t{4093}, size_t{1} << 20, size_t{5} << 20}) {
    StreamDigest digest;
    for (size_t i = 0; i < content.size(); i += piece) {
      digest.Update(std::string_view(content).substr(i, piece));
    }
    EXPECT_EQ(digest.Whole(), whole.Whole()) << piece;
    EXPECT_EQ(digest.Blocks(), whole.Blocks()) << piece;
  }
}

TEST(StreamDigestTest, HasOneDigestForEachBlock) {
  const struct {
    int64_t size;
    size_t blocks;
  } cases[] = {{1, 1},
               {kDigestBlockBytes - 1, 1},
               {kDigestBlockBytes, 1},
               {kDigestBlockBytes + 1, 2},
               {2 * kDigestBlockBytes, 2}};
  for (const auto& c : cases) {
    const std::string content = Content(c.size);
    StreamDigest digest;
    digest.Update(content);
    ASSERT_EQ(digest.Blocks().size(), 8 * c.blocks) << c.size;
    for (size_t i = 0; i < c.blocks; ++i) {
      EXPECT_EQ(digest.Blocks().substr(8 * i, 8), BlockDigest(std::string_view(content).substr(
                                                      i * kDigestBlockBytes, kDigestBlockBytes)))
          << c.size << " block " << i;
    }
    EXPECT_EQ(digest.size(), c.size);
  }
}

TEST(StreamDigestTest, GoesOnAfterBeingMoved) {
  StreamDigest first;
  first.Update("ab");
  StreamDigest second = std::move(first);
  second.Update("c");
  StreamDigest whole;
  whole.Update("abc");
  EXPECT_EQ(second.Whole(), whole.Whole());
}

}  // namespace
}  // namespace ckpt
