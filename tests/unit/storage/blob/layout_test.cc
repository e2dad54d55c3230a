#include "storage/blob/layout.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace ckpt::storage {
namespace {

TEST(SaveFolderNameTest, IsReversible) {
  const struct {
    SaveFolder folder;
    const char* name;
  } cases[] = {{{"r", "1", ""}, "r@1"},
               {{"r.a_b-c", "9999999999999999999", ""}, "r.a_b-c@9999999999999999999"},
               {{"r", "", "s"}, "r@stage.s"},
               {{"r", "", "7"}, "r@stage.7"},
               {{"stage.1", "2", ""}, "stage.1@2"}};
  for (const auto& c : cases) {
    EXPECT_EQ(SaveFolderName(c.folder.run, c.folder.save, c.folder.stage_id), c.name);
    const auto parsed = ParseSaveFolderName(c.name);
    ASSERT_TRUE(parsed.has_value()) << c.name;
    EXPECT_EQ(parsed->run, c.folder.run);
    EXPECT_EQ(parsed->save, c.folder.save);
    EXPECT_EQ(parsed->stage_id, c.folder.stage_id);
  }
}

TEST(SaveFolderNameTest, ParsesNothingElse) {
  for (const char* name :
       {"", "r", "@1", "r@", "r@0", "r@01", "r@x", "r@1@2", "r@latest", "r@best:p", "r@stage.",
        "r@stage.a/b", "r@stage..", ".r@1", "r@1.tmp", "lost+found"}) {
    EXPECT_FALSE(ParseSaveFolderName(name).has_value()) << name;
  }
}

TEST(BlobPathTest, IsStableAndSpreads) {
  // Golden: a change would lose what is stored.
  EXPECT_EQ(BlobPath("r@1"), BlobShardPath("r@1") + "/r@1");
  EXPECT_EQ(StagingPath("r@1"), "staging/r@1");
  EXPECT_EQ(RunPath("r"), "runs/r");
  std::set<std::string> shards;
  for (int i = 1; i <= 2000; ++i) {
    const std::string shard = BlobShardPath("r@" + std::to_string(i));
    EXPECT_EQ(shard.size(), std::string("blobs/xx").size());
    shards.insert(shard);
  }
  EXPECT_GT(shards.size(), 250u);
}

TEST(PartFileNameTest, NamesRankAndPart) {
  EXPECT_EQ(PartFileName(0, "weights"), "weights");
  EXPECT_EQ(PartFileName(3, "weights"), "weights@3");
  for (const char* name : {"weights", "weights@3", "a.b", "w@4294967295"}) {
    EXPECT_TRUE(IsPartFileName(name)) << name;
  }
  for (const char* name : {"", ".weights", "manifest.json", "w@", "w@0", "w@01", "w@x", "w@1@2",
                           "w@99999999999", "@1", "a b"}) {
    EXPECT_FALSE(IsPartFileName(name)) << name;
  }
}

TEST(SessionFileNameTest, IsReversibleAndNeverAPart) {
  EXPECT_EQ(SessionFileName("weights@3"), ".weights@3.session");
  EXPECT_EQ(ParseSessionFileName(".weights@3.session").value_or(""), "weights@3");
  EXPECT_FALSE(IsPartFileName(SessionFileName("weights")));
  for (const char* name : {"", ".session", "..session", "weights.session", ".weights",
                           ".a b.session", "..weights.session.tmp", ".session.session.x"}) {
    EXPECT_FALSE(ParseSessionFileName(name).has_value()) << name;
  }
}

}  // namespace
}  // namespace ckpt::storage
