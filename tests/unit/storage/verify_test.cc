#include "storage/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "storage/base/names.h"
#include "storage/catalog/index_db.h"
#include "storage/catalog/key_encoding.h"
#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/store_fixture.h"

namespace ckpt::storage {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr size_t kMiB = 1 << 20;

class VerifyTest : public StoreFixture {
 protected:
  void SetUp() override {
    Open();
    Fill();
  }

  void Fill() {
    ASSERT_OK(Commit(MakeSave("r", 1, {"a"}), Bytes(5 * kMiB, 1)));
    ASSERT_OK(Commit(MakeSave("r", 2, {"b"}), "two"));
    ASSERT_OK(Commit(MakeSave("r", 3, {"c"}, v1::StorageOptions::PROJECTION_COPY), "three"));
  }

  // "id kind repaired" of each damage.
  std::vector<std::string> Verify(VerifyOptions options = {}) {
    const auto verification = store_->Verify(options);
    EXPECT_OK(verification);
    std::vector<std::string> found;
    while (verification.ok()) {
      v1::VerifyResponse response;
      const absl::Status status = (*verification)->Step(&response);
      EXPECT_OK(status);
      for (const v1::Damage& damage : response.damages()) {
        const std::string& name = damage.checkpoint();
        found.push_back(name.substr(name.rfind('/') + 1) + ' ' +
                        v1::Damage::Kind_Name(damage.kind()).substr(5) +
                        (damage.repaired() ? " repaired" : ""));
        messages_ += damage.message() + '\n';
      }
      last_ = response;
      if (!status.ok() || response.done()) break;
    }
    return found;
  }
  std::vector<std::string> Repair() { return Verify({.repair = true}); }

  std::string Blob(int id, const std::string& file) {
    for (const auto& entry : fs::recursive_directory_iterator(data_ + "/blobs")) {
      if (entry.path().filename() == "r@" + std::to_string(id)) return entry.path() / file;
    }
    return "(none)";
  }
  void Flip(const std::string& path, size_t offset) {
    std::string bytes = ReadFile(path);
    bytes.at(offset) = static_cast<char>(~bytes[offset]);
    WriteFile(path, bytes);
  }
  std::string DamageOf(const std::string& id) { return store_->GetCheckpoint("r", id)->damage(); }

  v1::VerifyResponse last_;
  std::string messages_;
};

TEST_F(VerifyTest, FindsNothingWhereNothingIs) {
  EXPECT_THAT(Verify(), IsEmpty());
  EXPECT_EQ(last_.checkpoints(), 3);
  EXPECT_EQ(last_.bytes(), static_cast<int64_t>(5 * kMiB + 8));
  EXPECT_EQ(last_.total_bytes(), last_.bytes());
  EXPECT_EQ(last_.position(), "runs/r/checkpoints/3");
}

// Without its row in the order of a metric, a checkpoint would never be the best.
TEST_F(VerifyTest, PutsRankingRowsBack) {
  const auto best = [&] {
    const auto checkpoint = store_->GetBest("r", "val_loss", /*maximize=*/false, "");
    return checkpoint.ok() ? checkpoint->name() : std::string(MessageOf(checkpoint.status()));
  };
  const std::string before = best();
  const auto ref = ParseCheckpointName(before);
  ASSERT_OK(ref);
  const auto checkpoint = store_->GetCheckpoint("r", ref->id);
  ASSERT_OK(checkpoint);
  store_.reset();
  {
    const auto index = IndexDb::Open({.path = data_ + "/index"});
    ASSERT_OK(index);
    Batch batch = (*index)->NewBatch();
    batch.Delete(Table::kRanking, RankingKey("r", "val_loss", checkpoint->metrics().at("val_loss"),
                                             *ParseCheckpointId(ref->id)));
    ASSERT_OK((*index)->Write(std::move(batch)));
  }
  Open();
  ASSERT_NE(best(), before);
  EXPECT_THAT(Verify(), ElementsAre(ref->id + " ROW"));
  EXPECT_THAT(messages_, HasSubstr("it is not ranked by 'val_loss'"));
  EXPECT_THAT(Repair(), ElementsAre(ref->id + " ROW repaired"));
  EXPECT_EQ(best(), before);
  EXPECT_EQ(DamageOf(ref->id), "") << "its bytes are good";
  EXPECT_THAT(Verify(), IsEmpty());
}

TEST_F(VerifyTest, FindsAFlippedBit) {
  Flip(Blob(1, "weights"), 4 * kMiB + 7);
  EXPECT_THAT(Verify(), ElementsAre("1 PART"));
  EXPECT_THAT(messages_, HasSubstr("the block at byte 4194304"));
  EXPECT_EQ(DamageOf("1"), "") << "only a repair marks";
}

TEST_F(VerifyTest, FindsEveryKindOfDamage) {
  const struct {
    const char* what;
    std::function<void()> damage;
    const char* found;
    const char* repaired;
  } cases[] = {
      {"short", [&] { fs::resize_file(Blob(2, "weights"), 1); }, "2 PART", "2 PART"},
      {"long", [&] { fs::resize_file(Blob(2, "weights"), 9); }, "2 PART", "2 PART"},
      {"gone", [&] { fs::remove(Blob(2, "weights")); }, "2 PART", "2 PART repaired"},
      {"no manifest", [&] { fs::remove(Blob(2, "manifest.json")); }, "2 MANIFEST",
       "2 MANIFEST repaired"},
      {"bad manifest", [&] { WriteFile(Blob(2, "manifest.json"), "{}"); }, "2 MANIFEST",
       "2 MANIFEST repaired"},
      {"foreign manifest",
       [&] { WriteFile(Blob(2, "manifest.json"), ReadFile(Blob(3, "manifest.json"))); },
       "2 MANIFEST", "2 MANIFEST repaired"},
      {"no name", [&] { fs::remove(data_ + "/runs/r/b"); }, "2 NAME", "2 NAME repaired"},
      {"foreign name",
       [&] {
         fs::remove(data_ + "/runs/r/b");
         WriteFile(data_ + "/runs/r/b", "mine");
       },
       "2 NAME", "2 NAME repaired"},
      {"no copy", [&] { fs::remove(data_ + "/runs/r/c"); }, "3 NAME", "3 NAME repaired"},
      {"part with a copy", [&] { Flip(Blob(3, "weights"), 1); }, "3 PART", "3 PART repaired"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    StartAnew();
    ASSERT_NO_FATAL_FAILURE(Fill());
    c.damage();
    auto found = Verify();
    // What cannot be read has no name either: it is the same inode.
    std::erase_if(found, [&](const std::string& each) {
      return each.ends_with("NAME") && !std::string(c.found).ends_with("NAME");
    });
    EXPECT_THAT(found, ElementsAre(c.found));
    auto repaired = Repair();
    std::erase_if(repaired, [&](const std::string& each) {
      return each.find("NAME") != std::string::npos &&
             std::string(c.found).find("NAME") == std::string::npos;
    });
    EXPECT_THAT(repaired, ElementsAre(c.repaired));
    if (std::string(c.repaired).ends_with("repaired")) {
      EXPECT_THAT(Verify(), IsEmpty());
      EXPECT_EQ(Read("r", "2"), "two");
      EXPECT_EQ(Seen("r", "b"), "two");
      EXPECT_EQ(Read("r", "3"), "three");
      EXPECT_EQ(Seen("r", "c"), "three");
    }
  }
}

TEST_F(VerifyTest, WithoutAManifestTheRowsDigestDecides) {
  fs::remove(Blob(2, "manifest.json"));
  Flip(Blob(2, "weights"), 1);
  EXPECT_THAT(Verify(), ElementsAre("2 MANIFEST", "2 PART"));
  EXPECT_THAT(Repair(), ElementsAre("2 MANIFEST", "2 PART"));
  EXPECT_NE(DamageOf("2"), "");
}

// P7: what is beyond repair is listed as damaged, is neither best nor latest, and is not served.
TEST_F(VerifyTest, MarksWhatIsBeyondRepair) {
  ASSERT_OK(Commit(MakeSave("r", 4, {"d"}), "four"));
  EXPECT_EQ(store_->GetLatest("r")->name(), "runs/r/checkpoints/4");
  EXPECT_EQ(store_->GetBest("r", "val_loss", false, "")->name(), "runs/r/checkpoints/4");
  Flip(Blob(4, "weights"), 0);
  EXPECT_THAT(Repair(), ElementsAre("4 PART"));
  EXPECT_THAT(DamageOf("4"), HasSubstr("does not match"));
  EXPECT_EQ(store_->GetLatest("r")->name(), "runs/r/checkpoints/3");
  EXPECT_EQ(store_->GetBest("r", "val_loss", false, "")->name(), "runs/r/checkpoints/3");
  EXPECT_THAT(Ids("r"), ElementsAre("1", "2", "3", "4"));
  EXPECT_THAT(Read("r", "4"), HasSubstr("damaged"));

  Flip(Blob(4, "weights"), 0);  // somebody restores it
  EXPECT_THAT(Verify(), ElementsAre("4 ROW"));
  EXPECT_THAT(Repair(), ElementsAre("4 ROW repaired"));
  EXPECT_EQ(store_->GetLatest("r")->name(), "runs/r/checkpoints/4");
  EXPECT_THAT(Verify(), IsEmpty());
}

// A copy is its owner's: what is in it is not looked at, unless it is needed.
TEST_F(VerifyTest, LeavesCopiesAlone) {
  WriteFile(data_ + "/runs/r/c", "edited");
  EXPECT_THAT(Verify(), IsEmpty());
  Flip(Blob(3, "weights"), 0);
  EXPECT_THAT(Repair(), ElementsAre("3 PART"));
  EXPECT_EQ(Seen("r", "c"), "edited");
}

TEST_F(VerifyTest, GoesOnWhereItStopped) {
  for (const int id : {1, 2, 3}) Flip(Blob(id, "weights"), 0);
  EXPECT_THAT(Verify({.after = "runs/r/checkpoints/1"}), ElementsAre("2 PART", "3 PART"));
  EXPECT_THAT(Verify({.run = "r", .after = "runs/r/checkpoints/2"}), ElementsAre("3 PART"));
  EXPECT_THAT(Verify({.after = "runs/s/checkpoints/1"}), IsEmpty());
}

TEST_F(VerifyTest, OneRunAlone) {
  ASSERT_OK(CreateRun("s"));
  ASSERT_OK(Commit(MakeSave("s", 1, {"x"}), "x"));
  Flip(Blob(2, "weights"), 0);
  EXPECT_THAT(Verify({.run = "s"}), IsEmpty());
  EXPECT_EQ(last_.checkpoints(), 1);
  EXPECT_THAT(Verify({.run = "r"}), ElementsAre("2 PART"));
}

TEST_F(VerifyTest, RefusesWhatIsNoPosition) {
  EXPECT_THAT(store_->Verify({.run = "none"}), HasReason("RUN_NOT_FOUND"));
  EXPECT_THAT(store_->Verify({.after = "x"}), HasReason("NAME_INVALID"));
  EXPECT_THAT(store_->Verify({.after = "runs/r/checkpoints/best"}), HasReason("FIELD_INVALID"));
  EXPECT_THAT(store_->Verify({.run = "r", .after = "runs/s/checkpoints/1"}),
              HasReason("FIELD_INVALID"));
}

TEST_F(VerifyTest, WhatIsDeletedMeanwhileIsNotDamaged) {
  const auto verification = store_->Verify({.repair = true});
  ASSERT_OK(verification);
  v1::VerifyResponse response;
  ASSERT_OK((*verification)->Step(&response));
  RunUpdate update;
  update.run = "r";
  update.deleted = {"1"};
  const auto applied = store_->Apply({&update, 1});
  ASSERT_OK(applied);
  ASSERT_OK(store_->Evict(applied->evictions[0]));
  while (!response.done()) {
    ASSERT_OK((*verification)->Step(&response));
    EXPECT_EQ(response.damages_size(), 0);
  }
}

TEST_F(VerifyTest, TheScrubsPositionIsKept) {
  v1::ScrubState state;
  state.set_position("runs/r/checkpoints/2");
  state.set_begin_unix_nanos(7);
  ASSERT_OK(store_->SetScrubState(state));
  Reopen();
  EXPECT_EQ(store_->GetScrubState()->position(), "runs/r/checkpoints/2");
  EXPECT_EQ(store_->GetScrubState()->begin_unix_nanos(), 7);
}

}  // namespace
}  // namespace ckpt::storage
