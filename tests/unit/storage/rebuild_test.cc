#include "storage/rebuild.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "storage/base/names.h"
#include "storage/rebuilt_run.h"
#include "tests/unit/storage/testing/matchers.h"
#include "tests/unit/storage/testing/store_fixture.h"

namespace ckpt::storage {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class RebuildTest : public StoreFixture {
 protected:
  void SetUp() override {
    Open();
    ASSERT_OK(Commit(MakeSave("r", 1, {"a", "best"}), "one"));
    ASSERT_OK(Commit(MakeSave("r", 2, {"best"}), "two"));
    ASSERT_OK(Commit(MakeSave("r", 3, {"c"}, v1::StorageOptions::PROJECTION_COPY), "three"));
  }

  absl::StatusOr<RebuildReport> Rebuild() {
    store_.reset();
    return RebuildIndex({.data_dir = data_, .file_system = &file_system_, .clock = &clock_});
  }
  void LoseIndex() {
    store_.reset();
    fs::remove_all(data_ + "/index");
  }
  void ExpectEverything() {
    Reopen();
    EXPECT_THAT(Ids("r"), ElementsAre("1", "2", "3"));
    EXPECT_EQ(Read("r", "1"), "one");
    EXPECT_EQ(Seen("r", "a"), "one");
    EXPECT_EQ(Seen("r", "best"), "two");
    EXPECT_EQ(Seen("r", "c"), "three");
  }
  std::string Blob(int id, const std::string& file) {
    for (const auto& entry : fs::recursive_directory_iterator(data_ + "/blobs")) {
      if (entry.path().filename() == "r@" + std::to_string(id)) return entry.path() / file;
    }
    return "(none)";
  }
};

TEST_F(RebuildTest, MakesALostIndexAgain) {
  LoseIndex();
  EXPECT_THAT(TryOpen(), HasReason("INDEX_DAMAGED"));
  const auto report = Rebuild();
  ASSERT_OK(report);
  EXPECT_EQ(report->old_index, "");
  EXPECT_FALSE(report->salvaged);
  EXPECT_EQ(report->runs, 1);
  EXPECT_EQ(report->checkpoints, 3);
  ExpectEverything();
}

// Each way in which files of the index are lost or damaged, really done to them.
TEST_F(RebuildTest, MakesADamagedIndexAgain) {
  Reopen();  // what was written is in table files from now on
  ASSERT_OK(Commit(MakeSave("r", 4, {"c4"}), "four"));
  store_.reset();
  const auto each = [&](const std::string& part, const auto& change) {
    for (const auto& entry : fs::directory_iterator(data_ + "/index")) {
      if (entry.path().filename().string().find(part) != std::string::npos) change(entry.path());
    }
  };
  const auto remove = [](const fs::path& path) { fs::remove(path); };
  const auto truncate = [](const fs::path& path) {
    fs::resize_file(path, fs::file_size(path) / 2);
  };
  const auto flip = [](const fs::path& path) {
    std::string bytes = ReadFile(path);
    for (size_t i = 0; i < bytes.size(); i += 97) bytes[i] = static_cast<char>(~bytes[i]);
    WriteFile(path, bytes);
  };
  const std::string healthy = dir_ / "healthy";
  fs::copy(data_, healthy, fs::copy_options::recursive);
  for (const char* part : {"CURRENT", "MANIFEST", ".sst", ".log"}) {
    for (const int how : {0, 1, 2}) {
      SCOPED_TRACE(std::string(part) + " " + std::to_string(how));
      fs::remove_all(data_);
      fs::copy(healthy, data_, fs::copy_options::recursive);
      if (how == 0) each(part, remove);
      if (how == 1) each(part, truncate);
      if (how == 2) each(part, flip);
      const auto report = Rebuild();
      ASSERT_OK(report);
      EXPECT_THAT(report->old_index, HasSubstr("index.damaged-"));
      EXPECT_TRUE(fs::is_directory(data_ + '/' + report->old_index));
      EXPECT_THAT(report->unknown_blobs, IsEmpty());
      Reopen();
      EXPECT_THAT(Ids("r"), ElementsAre("1", "2", "3", "4"));
      EXPECT_EQ(Read("r", "4"), "four");
      EXPECT_EQ(Seen("r", "best"), "two");
      store_.reset();
    }
  }
}

TEST_F(RebuildTest, KeepsWhatOnlyTheOldIndexKnew) {
  RunUpdate update;
  update.run = "r";
  update.run_row.emplace().set_name("runs/r");
  (*update.run_row->mutable_labels())["team"] = "vision";
  update.new_metrics.emplace_back().set_id(1);
  update.new_metrics.back().set_name("loss");
  for (const uint32_t metric : {1u, 2u}) {
    EventRow row;
    row.record.mutable_event()->set_seq(100 + metric);
    row.record.mutable_event()->add_metric_ids(metric);
    row.record.mutable_event()->add_values(0.5);
    update.events.Add(std::move(row));
  }
  ASSERT_OK(store_->Apply({&update, 1}));
  ASSERT_OK(CreateRun("empty"));
  const auto report = Rebuild();
  ASSERT_OK(report);
  EXPECT_TRUE(report->salvaged_all);
  EXPECT_EQ(report->events, 1);
  EXPECT_EQ(report->dropped_events, 1);  // metric 2 has no name
  ExpectEverything();
  EXPECT_OK(store_->GetRun("empty"));
  EXPECT_EQ(store_->GetRun("r")->labels().at("team"), "vision");
  EXPECT_EQ(store_->GetRun("r")->durable_seq(), 102u);
  EXPECT_THAT(store_->ListEvents("r", 0, 10, "")->events, SizeIs(1));
}

TEST_F(RebuildTest, ManifestsKnowTheRun) {
  RunUpdate update;
  update.run = "r";
  update.run_row.emplace().set_name("runs/r");
  (*update.run_row->mutable_labels())["team"] = "vision";
  update.run_row->add_policies()->set_name("best");
  update.run_row->mutable_create_time()->set_seconds(7);
  ASSERT_OK(store_->Apply({&update, 1}));
  ASSERT_OK(Commit(MakeSave("r", 4, {"d"}), "four"));
  LoseIndex();
  ASSERT_OK(Rebuild());
  Reopen();
  const auto run = store_->GetRun("r");
  ASSERT_OK(run);
  EXPECT_EQ(run->labels().at("team"), "vision");
  EXPECT_EQ(run->policies(0).name(), "best");
  EXPECT_EQ(run->create_time().seconds(), 7);
}

TEST_F(RebuildTest, NeverUsesANumberTwice) {
  LoseIndex();
  ASSERT_OK(Rebuild());
  Reopen();
  const auto snapshot = store_->LoadRun("r");
  EXPECT_EQ(snapshot->progress.last_checkpoint_id(), 3 + kRebuildGap);
  EXPECT_EQ(snapshot->progress.writer_epoch(), 1 + kRebuildGap);
  EXPECT_EQ(snapshot->progress.durable_seqs(0), 30u);
}

// The row is gone, and the blob and the names would be gone a moment later.
TEST_F(RebuildTest, FinishesDeletionsThatTheOldIndexKnows) {
  RunUpdate update;
  update.run = "r";
  update.deleted = {"1"};
  ASSERT_OK(store_->Apply({&update, 1}));
  ASSERT_OK(Rebuild());
  Reopen();
  EXPECT_THAT(Ids("r"), ElementsAre("2", "3"));
  EXPECT_EQ(Seen("r", "a"), "(missing)");
  EXPECT_THAT(SaveFolders("blobs"), ElementsAre("r@2", "r@3"));
}

// Without its eviction row it is a checkpoint like any other; it comes back unless a newer one has
// its names.
TEST_F(RebuildTest, ADeletionThatNobodyKnowsOfIsUndone) {
  ASSERT_OK(Drive(MakeSave("r", 4, {"best", "a"}), "four", Step::kApplied));
  RunUpdate update;
  update.run = "r";
  update.deleted = {"3"};
  ASSERT_OK(store_->Apply({&update, 1}));
  LoseIndex();
  ASSERT_OK(Rebuild());
  Reopen();
  EXPECT_THAT(Ids("r"), ElementsAre("3", "4"));  // 1 and 2 have lost their names to 4
  EXPECT_THAT(SaveFolders("blobs"), ElementsAre("r@3", "r@4"));
}

TEST_F(RebuildTest, SetsAsideWhatNothingIsKnownOf) {
  WriteFile(Blob(1, "manifest.json"), "{");
  LoseIndex();
  const auto report = Rebuild();
  ASSERT_OK(report);
  EXPECT_THAT(report->unknown_blobs, ElementsAre("r@1"));
  Reopen();
  EXPECT_THAT(Ids("r"), ElementsAre("2", "3"));
  EXPECT_EQ(ReadFile(data_ + '/' + report->set_aside + "/r@1/weights"), "one");
}

TEST_F(RebuildTest, ARowMakesUpForADamagedManifest) {
  WriteFile(Blob(1, "manifest.json"), "{");
  const auto report = Rebuild();
  ASSERT_OK(report);
  EXPECT_THAT(report->unknown_blobs, IsEmpty());
  Reopen();
  EXPECT_THAT(Ids("r"), ElementsAre("1", "2", "3"));
  EXPECT_THAT(Read("r", "1"), HasSubstr("damaged"));
}

TEST_F(RebuildTest, DropsRowsWithoutFiles) {
  fs::remove_all(fs::path(Blob(1, "x")).parent_path());
  const auto report = Rebuild();
  ASSERT_OK(report);
  EXPECT_EQ(report->dropped_rows, 1);
  Reopen();
  EXPECT_THAT(Ids("r"), ElementsAre("2", "3"));
}

TEST_F(RebuildTest, RefusesWhatItMustNotTouch) {
  EXPECT_THAT(RebuildIndex({.data_dir = dir_ / "typo"}), HasReason("FIELD_INVALID"));
  EXPECT_FALSE(fs::exists(dir_ / "typo"));
  EXPECT_THAT(RebuildIndex({.data_dir = data_}), HasReason("DATA_DIR_IN_USE"));
  const std::string path = Blob(1, "manifest.json");
  std::string manifest = ReadFile(path);
  manifest.replace(manifest.find("\"formatVersion\":1"), 17, "\"formatVersion\":2");
  WriteFile(path, manifest);
  EXPECT_THAT(Rebuild(), HasReason("VERSION_TOO_NEW"));
  EXPECT_TRUE(fs::exists(data_ + "/index/CURRENT"));
}

// Fails at each call to the file system in turn, as a kill there would end it; and is run again.
TEST_F(RebuildTest, CanBeKilledAnywhere) {
  for (int64_t k = 1;; ++k) {
    SCOPED_TRACE(k);
    store_.reset();
    file_system_.Reset();
    file_system_.set_plan(FailFrom(k, EIO));
    const auto first = Rebuild();
    const bool reached = static_cast<int64_t>(file_system_.calls().size()) >= k;
    file_system_.set_plan(nullptr);
    if (!first.ok()) {
      ASSERT_OK(Rebuild());
    }
    ExpectEverything();
    for (const auto& entry : fs::directory_iterator(data_)) {
      if (entry.path().filename().string().starts_with("index.damaged")) fs::remove_all(entry);
    }
    if (HasFailure()) return;
    if (!reached) {
      EXPECT_GT(k, 20);
      break;
    }
  }
}

}  // namespace
}  // namespace ckpt::storage
