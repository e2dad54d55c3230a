#include "storage/base/names.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/storage/testing/matchers.h"

namespace ckpt {
namespace {

TEST(CheckIdTest, TakesTheDocumentedCharacters) {
  const std::string longest(128, 'a');
  for (const std::string& id :
       {std::string("a"), std::string("0"), std::string("A.b_c-9"), longest}) {
    EXPECT_OK(CheckRunId(id));
  }
  for (const std::string& id :
       {std::string(), std::string("."), std::string("-a"), std::string("_a"), std::string("a/b"),
        std::string("a b"), std::string("a@b"), std::string("ä"), std::string("a\0b", 3),
        std::string("a\n"), longest + 'a'}) {
    EXPECT_THAT(CheckRunId(id), HasReason("NAME_INVALID")) << id;
  }
}

TEST(CheckIdTest, LimitsLengthByKind) {
  EXPECT_OK(CheckPolicyName(std::string(64, 'p')));
  EXPECT_THAT(CheckPolicyName(std::string(65, 'p')), HasReason("NAME_INVALID"));
  EXPECT_OK(CheckStageId(std::string(64, 's')));
  EXPECT_THAT(CheckStageId(std::string(65, 's')), HasReason("NAME_INVALID"));
}

TEST(CheckIdTest, ShowsALongOneCutBetweenCodePoints) {
  std::string id = "x";
  for (int i = 0; i < 200; ++i) id += "ä";
  const std::string shown = MetadataOf(CheckPolicyName(id)).at("value");
  EXPECT_EQ(shown, id.substr(0, 127)) << "128 would end within a code point";
}

TEST(CheckPartNameTest, ReservesTheManifest) {
  EXPECT_OK(CheckPartName("weights"));
  EXPECT_OK(CheckPartName("manifest.json.gz"));
  EXPECT_THAT(CheckPartName("manifest.json"), HasReason("NAME_INVALID"));
}

TEST(ParseRunNameTest, IsTheReverseOfRunName) {
  const auto run = ParseRunName(RunName("r.1"));
  ASSERT_OK(run);
  EXPECT_EQ(*run, "r.1");
  for (const char* name : {"", "r", "runs/", "runs/a/b", "run/a", "runs/-"}) {
    EXPECT_THAT(ParseRunName(name), HasReason("NAME_INVALID")) << name;
  }
}

TEST(ParseCheckpointNameTest, TakesNumbersAndAliases) {
  for (const char* id : {"1", "42", "9999999999999999999", "latest", "best", "best:p.1"}) {
    const auto ref = ParseCheckpointName(CheckpointName("r", id));
    ASSERT_OK(ref);
    EXPECT_EQ(ref->run, "r");
    EXPECT_EQ(ref->id, id);
  }
}

TEST(ParseCheckpointNameTest, RefusesEverythingElse) {
  for (const char* name :
       {"", "runs/r", "runs/r/checkpoints", "runs/r/checkpoints/", "runs//checkpoints/1",
        "runs/r/checkpoints/0", "runs/r/checkpoints/01", "runs/r/checkpoints/-1",
        "runs/r/checkpoints/1x", "runs/r/checkpoints/99999999999999999999",
        "runs/r/checkpoints/best:", "runs/r/checkpoints/best:/", "runs/r/checkpoints/1/2",
        "runs/r/s/checkpoints/1", "x/r/checkpoints/1"}) {
    EXPECT_THAT(ParseCheckpointName(name), HasReason("NAME_INVALID")) << name;
  }
}

TEST(IsAliasTest, TellsAliasesFromNumbers) {
  EXPECT_TRUE(IsAlias("latest"));
  EXPECT_TRUE(IsAlias("best:x"));
  EXPECT_FALSE(IsAlias("7"));
  EXPECT_FALSE(IsAlias("Best"));
}

}  // namespace
}  // namespace ckpt
