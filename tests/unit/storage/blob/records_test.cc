#include "storage/blob/records.h"

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "storage/base/digest.h"
#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/saves.h"

namespace ckpt::storage {
namespace {

using google::protobuf::util::MessageDifferencer;

v1::Part FinishedPart(int rank, const std::string& name, int64_t size) {
  v1::Part part;
  part.set_rank(rank);
  part.set_part(name);
  part.set_size(size);
  part.set_xxh3_128(std::string(16, '\x9f'));
  part.set_block_digests(std::string(static_cast<size_t>(8 * BlockCount(size)), '\x01'));
  return part;
}

v1::PartSession MakeSession() {
  v1::PartSession session;
  session.set_format_version(1);
  session.set_part_count(2);
  session.set_persisted(5'000'000);
  session.set_finished(true);
  *session.mutable_part() = FinishedPart(0, "weights", 5'000'000);
  return session;
}

v1::Manifest MakeManifest() {
  v1::Manifest manifest;
  manifest.set_format_version(1);
  v1::Checkpoint& checkpoint = *manifest.mutable_checkpoint();
  checkpoint = MakeSave("r", 1, {"a", "b"});
  *checkpoint.add_parts() = FinishedPart(0, "optimizer", 0);
  *checkpoint.add_parts() = FinishedPart(0, "weights", 4 << 20);
  *checkpoint.add_parts() = FinishedPart(1, "optimizer", 7);
  checkpoint.set_size((4 << 20) + 7);
  return manifest;
}

TEST(RecordsTest, SessionsComeBackAsTheyWere) {
  const v1::PartSession session = MakeSession();
  const auto json = EncodeSession(session);
  ASSERT_OK(json);
  EXPECT_EQ(json->back(), '\n');
  const auto decoded = DecodeSession(*json);
  ASSERT_OK(decoded);
  EXPECT_TRUE(MessageDifferencer::Equals(*decoded, session)) << *json;
}

TEST(RecordsTest, ManifestsComeBackAsTheyWere) {
  v1::Manifest manifest = MakeManifest();
  auto& metrics = *manifest.mutable_checkpoint()->mutable_metrics();
  metrics["third"] = 1.0 / 3;
  metrics["smallest"] = std::numeric_limits<double>::denorm_min();
  metrics["inf"] = -std::numeric_limits<double>::infinity();
  metrics["val/löss \"q\""] = 0.5;
  const auto json = EncodeManifest(manifest);
  ASSERT_OK(json);
  const auto decoded = DecodeManifest(*json);
  ASSERT_OK(decoded);
  EXPECT_TRUE(MessageDifferencer::Equals(*decoded, manifest)) << *json;
}

TEST(RecordsTest, ManifestsKeepNan) {
  v1::Manifest manifest = MakeManifest();
  (*manifest.mutable_checkpoint()->mutable_metrics())["nan"] = std::nan("");
  const auto decoded = DecodeManifest(EncodeManifest(manifest).value_or(""));
  ASSERT_OK(decoded);
  EXPECT_TRUE(std::isnan(decoded->checkpoint().metrics().at("nan")));
}

TEST(RecordsTest, TruncationIsNoticedAtEveryLength) {
  const std::string session = EncodeSession(MakeSession()).value_or("");
  for (size_t length = 0; length + 1 < session.size(); ++length) {  // the newline may be missing
    EXPECT_FALSE(DecodeSession(session.substr(0, length)).ok()) << length;
  }
  const std::string manifest = EncodeManifest(MakeManifest()).value_or("");
  for (size_t length = 0; length + 1 < manifest.size(); ++length) {
    EXPECT_FALSE(DecodeManifest(manifest.substr(0, length)).ok()) << length;
  }
}

// Every change of a byte is either refused or leaves a record that is consistent in itself.
TEST(RecordsTest, DamageNeverCrashes) {
  const std::string json = EncodeManifest(MakeManifest()).value_or("");
  for (size_t i = 0; i < json.size(); ++i) {
    for (const char damage : {'\0', '"', '9', '}', '\xff', static_cast<char>(json[i] ^ 1)}) {
      std::string damaged = json;
      damaged[i] = damage;
      const auto decoded = DecodeManifest(damaged);
      if (!decoded.ok()) continue;
      int64_t size = 0;
      for (const v1::Part& part : decoded->checkpoint().parts()) {
        size += part.size();
        EXPECT_EQ(part.xxh3_128().size(), 16u);
        EXPECT_EQ(static_cast<int64_t>(part.block_digests().size()), 8 * BlockCount(part.size()));
      }
      EXPECT_EQ(decoded->checkpoint().size(), size);
    }
  }
}

TEST(RecordsTest, InconsistentSessionsAreRefused) {
  const struct {
    const char* what;
    std::function<void(v1::PartSession&)> change;
  } cases[] = {
      {"no version", [](auto& s) { s.clear_format_version(); }},
      {"negative bytes", [](auto& s) { s.set_persisted(-1); }},
      {"no parts", [](auto& s) { s.set_part_count(0); }},
      {"name", [](auto& s) { s.mutable_part()->set_part("../x"); }},
      {"rank", [](auto& s) { s.mutable_part()->set_rank(-1); }},
      {"digest", [](auto& s) { s.mutable_part()->set_xxh3_128("short"); }},
      {"blocks", [](auto& s) { s.mutable_part()->mutable_block_digests()->pop_back(); }},
      {"size", [](auto& s) { s.mutable_part()->set_size(-5); }},
      {"huge", [](auto& s) { s.mutable_part()->set_size(INT64_MAX); }},
  };
  for (const auto& c : cases) {
    v1::PartSession session = MakeSession();
    c.change(session);
    EXPECT_FALSE(DecodeSession(EncodeSession(session).value_or("")).ok()) << c.what;
  }
  v1::PartSession unfinished = MakeSession();
  unfinished.set_finished(false);
  unfinished.mutable_part()->clear_xxh3_128();
  unfinished.mutable_part()->clear_block_digests();
  EXPECT_OK(DecodeSession(EncodeSession(unfinished).value_or("")));
}

TEST(RecordsTest, InconsistentManifestsAreRefused) {
  const struct {
    const char* what;
    std::function<void(v1::Checkpoint&)> change;
  } cases[] = {
      {"name", [](auto& c) { c.set_name("runs/../checkpoints/1"); }},
      {"no parts", [](auto& c) { c.clear_parts(); }},
      {"order", [](auto& c) { c.mutable_parts()->SwapElements(0, 1); }},
      {"twice", [](auto& c) { *c.mutable_parts(1) = c.parts(0); }},
      {"sum", [](auto& c) { c.set_size(c.size() + 1); }},
      {"digest", [](auto& c) { c.mutable_parts(0)->clear_xxh3_128(); }},
  };
  for (const auto& c : cases) {
    v1::Manifest manifest = MakeManifest();
    c.change(*manifest.mutable_checkpoint());
    EXPECT_FALSE(DecodeManifest(EncodeManifest(manifest).value_or("")).ok()) << c.what;
  }
}

TEST(RecordsTest, NewerVersionsAreRefusedByName) {
  v1::Manifest manifest = MakeManifest();
  manifest.set_format_version(2);
  EXPECT_THAT(DecodeManifest(EncodeManifest(manifest).value_or("")), HasReason("VERSION_TOO_NEW"));
  EXPECT_THAT(DecodeManifest(R"({"formatVersion": 9, "newThing": {"x": 1}})"),
              HasReason("VERSION_TOO_NEW"));
}

TEST(BlockCountTest, CountsTheLastShortBlock) {
  EXPECT_EQ(BlockCount(0), 0);
  EXPECT_EQ(BlockCount(1), 1);
  EXPECT_EQ(BlockCount(kDigestBlockBytes), 1);
  EXPECT_EQ(BlockCount(kDigestBlockBytes + 1), 2);
  EXPECT_EQ(BlockCount(INT64_MAX), (int64_t{1} << 41));
}

TEST(WithoutBlockDigestsTest, LeavesTheRest) {
  const v1::Checkpoint checkpoint = WithoutBlockDigests(MakeManifest().checkpoint());
  ASSERT_EQ(checkpoint.parts_size(), 3);
  for (const v1::Part& part : checkpoint.parts()) {
    EXPECT_TRUE(part.block_digests().empty());
    EXPECT_EQ(part.xxh3_128().size(), 16u);
  }
}

}  // namespace
}  // namespace ckpt::storage
